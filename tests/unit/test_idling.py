"""The measurement of an idle process says so where the process did not become idle."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "scripts" / "benchmarks"


@pytest.fixture
def idling(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("idling")
    for name, seconds in (("IDLE_S", 0.05), ("SETTLED_S", 0.2), ("SETTLE_MAX_S", 0.3)):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(module, "IDLE_MAX", 1e9)
    yield module
    for name in ("idling", "rows"):
        sys.modules.pop(name)


@pytest.mark.parametrize(("every_s", "settles"), [(0.001, False), (60, True)])
def test_a_process_that_never_came_to_rest_meets_no_bound(
    idling: ModuleType, every_s: float, *, settles: bool
) -> None:
    code = f"import time\nprint(flush=True)\nwhile True: time.sleep({every_s})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        row = idling.idling("a process", process.pid)
        process.terminate()
    assert (row.met, "did not settle" in row.work) == (settles, not settles)
