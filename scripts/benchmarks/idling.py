"""What a process takes that has nothing to do, beside one that does a little on the same beat."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from rows import Row, below_beside

from spool.beat import CALM_BEAT_S, CALM_LOOK_S

IDLE_S = CALM_LOOK_S
"""Seconds that it is watched: its longest period, so that each of its looks is in it."""
SETTLED_S = 2 * CALM_BEAT_S
SETTLED_TURNS = 6
"""In a calm all threads together go to sleep so often within so many seconds: the main one twice, and
one that turns now and then. Before it, the main thread alone does eight times."""
SETTLE_MAX_S = 900.0
"""Seconds after which it is watched in any case, and the row says that it had not settled."""
IDLE_MAX = 0.5
"""Percent of a core."""
AGAINST = "one that adds up 5,000 squares every four seconds"
_SMALL = """
import time
from spool.beat import BEAT_S, until_beat

print(flush=True)
while True:
    time.sleep(until_beat(BEAT_S))
    sum(number * number for number in range(5000))
"""


def idling(work: str, pid: int) -> Row:
    """Percent of a core that the process ``pid`` takes.

    What was not touched for seconds is slow to touch again, on virtual machines most of all. What that
    costs, the process beside it says: its work takes 0.16 ms where it is repeated at once. What has
    not settled meets no bound, and the row says so.
    """
    has_settled = _settles(pid)
    command = [sys.executable, "-c", _SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as small:  # noqa: S603 - our own
        try:
            assert small.stdout is not None  # noqa: S101 - asked for above
            small.stdout.readline()
            before = _ran_s(pid), _ran_s(small.pid)
            time.sleep(IDLE_S)
            after = _ran_s(pid), _ran_s(small.pid)
        finally:
            small.terminate()
    ours, theirs = ((end - begin) / IDLE_S * 100 for begin, end in zip(before, after, strict=True))
    if not has_settled:
        work = f"{work} that did not settle in {SETTLE_MAX_S:,.0f} s"
    row = below_beside(f"{work}, of a core", AGAINST, ours, theirs, "%", limit=IDLE_MAX)
    return row if has_settled else replace(row, met=False)


def _settles(pid: int) -> bool:
    """Wait until the process ``pid`` sleeps as in a calm; False where it did not come to that."""
    begun = time.monotonic()
    before = _slept(pid)
    while time.monotonic() - begun < SETTLE_MAX_S:
        time.sleep(SETTLED_S)
        now = _slept(pid)
        if now - before <= SETTLED_TURNS:
            return True
        before = now
    return False


def _slept(pid: int) -> int:
    """How often the threads of a process went to sleep."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    texts = ((task / "status").read_text() for task in tasks)
    found = (re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE) for text in texts)
    return sum(int(each[1]) for each in found if each is not None)


def _ran_s(pid: int) -> float:
    """Seconds of the processor that the threads of a process took, by the scheduler's own account.

    The kernel's ticks of 10 ms are too coarse for who does nothing.
    """
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
