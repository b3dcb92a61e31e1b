"""How often the command's process looks for garbage."""

import subprocess
import sys

_LOOKS = """
import gc, sys
from bridge.cli.main import main
sys.argv = ["bridge", "--version"]
try:
    main()
except SystemExit:
    pass
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
gc.collect()
looks.clear()
held = [[] for _ in range(10_000)]
print("held", looks.count("stop"))
for _ in range(2_500):
    for _ in range(10):
        cycle = []
        cycle.append(cycle)
print("cycles", looks.count("stop"))
"""


def test_requests_in_flight_are_not_looked_through_and_cycles_go_in_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOKS], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1:] == ["held 0", "cycles 1"]
