"""The clock (145, 148): set back it lengthens nothing and is seen; sleep is no alarm.

faketime turns the wall clock of a process, a time namespace the boot's, and a mount the boot's name.
"""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.attacks.test_license import good, importing, pinned_home
from tests.support.apart import run_apart
from tests.support.attacks import Home
from tests.support.commands import Told
from tests.support.faketime import preloaded
from tests.support.tokens import DAY_S, ED

pytestmark = pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not here")
HOUR_S = 3600
NO_LICENSE = 8
IN_A_NEW_BOOT = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
ANOTHER_BOOT = "5d2bcb9d-0000-4000-8000-000000000000\n"


@pytest.fixture(scope="module")
def library() -> str:
    return preloaded()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A node with a token for thirty days."""
    made = pinned_home(tmp_path / "n")
    token = ED.sign(None, good(exp=int(time.time()) + 30 * DAY_S))
    assert made.run(*importing(token)(made)).code == 0
    return made


def status(home: Home, library: str, step_s: int, *under: str | Path) -> Told:
    """``license status`` where the wall clock shows so much more, or less."""
    more = {
        "LD_PRELOAD": library, "FAKETIME": f"{step_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }  # fmt: skip
    return run_apart(home, "license", "status", "--json", under=under, more=more)


def of_another_boot(home: Home) -> list[str | Path]:
    """Around a command: the machine was started anew."""
    name = home.put("boot_id", ANOTHER_BOOT.encode())
    return ["unshare", "--mount", "sh", "-c", IN_A_NEW_BOOT, "sh", name]


def asleep(seconds: int) -> list[str]:
    """Around a command: so long the machine slept, which the boot's clock counts."""
    return ["unshare", "--time", "--boottime", str(seconds), "--fork"]


def skip_unless_allowed(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command), "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine does not let a test make namespaces")


SET_BACK = {"an-hour": -HOUR_S, "a-day": -DAY_S, "to-1970": -int(time.time()) + HOUR_S}


@pytest.mark.parametrize("rebooted", [False, True], ids=["same-boot", "across-a-reboot"])
@pytest.mark.parametrize("step", list(SET_BACK))
def test_attack_145_a_clock_set_back_is_seen_and_the_end_stays(
    home: Home, library: str, step: str, *, rebooted: bool
) -> None:
    under = of_another_boot(home) if rebooted else []
    skip_unless_allowed(*under)
    right = status(home, library, 0, *under)
    assert (right.code, right.answer["state"]) == (0, "VALID"), right
    before = home.state()
    told = status(home, library, SET_BACK[step], *under)
    assert (told.code, told.answer["state"]) == (NO_LICENSE, "CLOCK_ROLLBACK"), told
    assert told.answer["expires_at"] == right.answer["expires_at"]
    assert home.state() == before
    again = status(home, library, 0, *under)
    assert (again.code, again.answer["state"]) == (0, "VALID")


def test_attack_148_eight_hours_of_sleep_are_no_alarm(home: Home, library: str) -> None:
    hours = 8 * HOUR_S
    skip_unless_allowed(*asleep(hours))
    before = home.state()
    told = status(home, library, hours, *asleep(hours))
    assert (told.code, told.answer["state"]) == (0, "VALID"), told
    # Had the wall clock stood still over it, it would be behind: the boot's clock tells.
    behind = status(home, library, 0, *asleep(hours))
    assert (behind.code, behind.answer["state"]) == (NO_LICENSE, "CLOCK_ROLLBACK")
    assert behind.answer["expires_at"] == told.answer["expires_at"]
    assert home.state() == before


@pytest.mark.parametrize("zone", ["AAA-14", "BBB12", "Europe/Berlin"])
def test_attack_148_a_time_zone_is_no_alarm(home: Home, zone: str) -> None:
    told = run_apart(home, "license", "status", "--json", more={"TZ": zone})
    assert (told.code, told.answer["state"]) == (0, "VALID"), told
