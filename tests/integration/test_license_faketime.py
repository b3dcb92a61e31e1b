"""Real processes under a clock that shows what a test wants: days, years, the second of the end.

Debian's faketime turns the wall clock of a process and nothing else: the boot's clock goes on.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.license.entry import entry_path
from tests.support.bridges import Node
from tests.support.faketime import preloaded
from tests.support.licensenodes import ask, beacon_and_node, cut_off, token_status

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not here"),
]
DAY = 86_400
LIFE = 30 * DAY
GRACE = 14 * DAY


@pytest.fixture(scope="module")
def library() -> str:
    return preloaded()


@contextmanager
def clock_at(at_s: int, library: str, zone: str = "UTC0") -> Iterator[None]:
    """Have processes that are started meanwhile see a wall clock that stands at ``at_s``."""
    hours = int(zone.lstrip("ABCTU"))  # west of Greenwich, in POSIX's form
    shown = datetime.fromtimestamp(at_s - hours * 3600, UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", library)
        patch.setenv("FAKETIME", f"{shown:%Y-%m-%d %H:%M:%S}")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        patch.setenv("NO_FAKE_STAT", "1")
        patch.setenv("TZ", zone)
        yield


def _refreshed(node: Node) -> int:
    """Have a new token fetched; when it ends, seconds since 1970."""
    assert node.bridge("license", "refresh").returncode == 0
    found: int = json.loads(node.bridge("license", "show", "--json").stdout)["claims"]["exp"]
    return found


def _wait_for_a_note(node: Node, before: bytes) -> None:
    """Until the daemon noted the time, which it does at its first look."""
    end = time.monotonic() + 30
    while (node.spool / "license" / "anchors").read_bytes() == before:
        assert time.monotonic() < end
        time.sleep(0.02)


def _state_at(node: Node, at_s: int, library: str, zone: str = "UTC0") -> tuple[int, str]:
    with clock_at(at_s, library, zone):
        code, found = token_status(node)
    return code, str(found["state"])


def test_a_month_without_egress_and_five_restarts_in_it_end_at_the_end_to_the_second(
    tmp_path: Path, library: str
) -> None:
    with beacon_and_node(tmp_path, pinned=True, life_s=LIFE) as (beacon, node):
        end = _refreshed(node)
        token = node.bridge("license", "show", "--token").stdout.strip()
        entry = entry_path(node.spool, node.name).read_bytes()
        cut_off(node, beacon.url)
        node.daemon.stop()
        for at_s, code in (
            (end - 29 * DAY, 200),
            (end - 4 * DAY, 200),
            (end - 1, 200),
            (end, 503),
            (end + GRACE, 503),
        ):
            before = (node.spool / "license" / "anchors").read_bytes()
            with clock_at(at_s, library):
                node.daemon.start()
                answer = ask(node)
                _wait_for_a_note(node, before)
                node.daemon.stop()
            assert answer.status_code == code
            if code == 200:
                assert answer.json() == {"token": token}
            assert entry_path(node.spool, node.name).read_bytes() == entry
        # Back to the day on which it was issued: the end stays where it was, and nothing is served.
        with clock_at(end - 29 * DAY, library):
            code, found = token_status(node)
        assert (code, found["state"]) == (8, "CLOCK_ROLLBACK")
        assert datetime.fromisoformat(str(found["expires_at"])).timestamp() == end


def test_the_state_changes_at_the_second_of_the_end_and_of_graces_end_in_any_time_zone(
    tmp_path: Path, library: str
) -> None:
    with beacon_and_node(tmp_path, pinned=True, life_s=LIFE) as (_, node):
        end = _refreshed(node)
        node.config.write_text(node.config.read_text() + "egress: {mode: offline}\n")
        assert _state_at(node, end - 3 * DAY - 1, library) == (0, "VALID")
        for zone in ("AAA-14", "BBB12"):
            assert _state_at(node, end - 1, library, zone) == (0, "EXPIRING")
            assert _state_at(node, end, library, zone) == (8, "GRACE")
        assert _state_at(node, end + GRACE - 1, library) == (8, "GRACE")
        assert _state_at(node, end + GRACE, library) == (8, "EXPIRED")
        # Looking is not keeping: nobody noted the time meanwhile.
        assert token_status(node)[1]["state"] == "VALID"


def test_attack_145_a_boot_in_2036_and_one_in_1970_lock_nobody_out_for_ever(
    tmp_path: Path, library: str
) -> None:
    with beacon_and_node(tmp_path, pinned=True, life_s=LIFE) as (_, node):
        end = _refreshed(node)
        assert _state_at(node, DAY, library) == (8, "CLOCK_ROLLBACK")  # 1970
        assert token_status(node)[0] == 0
        with clock_at(end + 3650 * DAY, library):
            before = (node.spool / "license" / "anchors").read_bytes()
            node.daemon.start()
            assert ask(node).status_code == 200  # the beacon is there, whatever the clock
            _wait_for_a_note(node, before)
            node.daemon.stop()
            assert token_status(node)[1]["state"] != "CLOCK_ROLLBACK"
        assert token_status(node)[1]["state"] == "CLOCK_ROLLBACK"
        assert node.bridge("license", "refresh").returncode == 0
        code, found = token_status(node)
        assert (code, found["state"]) == (0, "VALID")
