"""Disks that take nothing more (115): a command says so, nothing is acknowledged, and the next works.

``scripts/torture`` has the same happen at every single call, and fills real disks and a real quota.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import crossings
from tests.support.apart import run_apart
from tests.support.attacks import Command, Home, ids
from tests.support.crossings import IMPORT_GOOD

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
DISK = 5
CALLS = "pwrite64,pwritev,pwritev2,copy_file_range,fsync,fdatasync,rename,ftruncate"
FULL, READ_ONLY = {"disk.full", "ledger.full"}, {"disk.read_only", "ledger.readonly"}
ERRORS = {"ENOSPC": FULL, "EDQUOT": FULL, "EROFS": READ_ONLY}


def appending(home: Home) -> Command:
    return ("append", "transactions", home.put("r.ndjson", b'{"id":"x"}\n{"id":"y"}\n'), "--json")


def exporting(home: Home) -> Command:
    to = home.stick / "out"
    to.mkdir(exist_ok=True)
    return ("export", "--to", to, "--plain", "--json")


@dataclass(frozen=True, slots=True)
class Case:
    """A command that writes, the machine that it is told to, and how many records that holds.

    ``changes`` may differ after it failed: what was begun, and counts for nothing.
    """

    home: Callable[[Path], Home]
    made: Callable[[Home], Command]
    held_before: int
    held: int
    changes: tuple[str, ...] = ()


CASES: Mapping[str, Case] = {
    "append": Case(crossings.node, appending, 4, 4 + 2),
    "import": Case(crossings.relay, IMPORT_GOOD, 0, 4),
    "export": Case(crossings.node, exporting, 4, 4),
}


def injected(error: str | None, first: int, log: Path) -> list[str | Path]:
    """Around a command: every such call of a thread fails, from the ``first`` on."""
    fault = ["-e", f"inject={CALLS}:error={error}:when={first}+"] if error else []
    return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={CALLS}", *fault]


@pytest.mark.parametrize("error", list(ERRORS))
@pytest.mark.parametrize(
    ("name", "first"), [("append", 1), ("append", 4), ("import", 1), ("import", 9), ("export", 9)]
)
def test_attack_115_what_cannot_be_written_is_said_and_done_when_it_can(
    tmp_path: Path, name: str, error: str, first: int
) -> None:
    case = CASES[name]
    home = case.home(tmp_path / "home")
    command = case.made(home)
    before, log = home.state(), home.stick / "strace.log"
    told = run_apart(home, *command, under=injected(error, first, log))
    assert f"{error} " in log.read_text()
    (said,) = ids(told)
    assert (told.code, said in ERRORS[error]) == (DISK, True), told
    assert home.changed_since(before, case.changes) == set()
    assert held(home) == case.held_before
    twin = run_apart(home, *command, under=injected(None, first, log))
    assert (twin.code, ids(twin)) == (0, []), twin
    assert held(home) == case.held
    assert home.run("verify", home.spool).code == 0


def held(home: Home) -> int:
    """How many records the machine has."""
    lanes = home.run("status", "--json").answer["lanes"]
    return sum(count for lane in lanes for count in lane["records"].values())
