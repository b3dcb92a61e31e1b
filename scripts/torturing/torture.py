"""Every command that matters meets a failure, a kill or a full disk at each of its system calls.

For append, seal, run (--once), export and import: EIO, ENOSPC, EDQUOT, EROFS, a short write and SIGKILL
at every n-th write, sync, rename, unlink and their like (by strace); tmpfs, ext4 and a quota (btrfs)
with less and less room; for daemon (run, with records that come in and leave meanwhile) SIGKILL. After
each the same is run again, everything is verified, and what was acknowledged is compared with what is
held, here and at the beacon.
Ends with 1 if anything was wrong, and says where.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import smalldisks
from cases import CASES, Case
from running import CALLS, KILLED, SHORT, Fault, counted, counting, injecting
from worlds import World, beacon

ROOMS = (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""KiB that a small file system has left when a command begins."""


@dataclass(slots=True)
class Tally:
    """What was tried, how it ended, and what was wrong."""

    trials: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, case: str, kind: str, code: int, what: str, problem: str) -> None:
        """Count a trial."""
        self.trials[case, kind] += 1
        end = "well" if code == 0 else ("killed" if code == KILLED else "failed")
        self.ends[case, kind, end] += 1
        if problem:
            self.wrong.append(f"{case}: {what}: ended with {code}: {problem}")

    def table(self) -> Iterator[str]:
        """A row for each command and kind of fault."""
        yield f"{'command':8} {'fault':10} {'trials':>6} {'well':>5} {'failed':>6} {'killed':>6}"
        for case, kind in self.trials:
            ends = [self.ends[case, kind, end] for end in ("well", "failed", "killed")]
            yield (
                f"{case:8} {kind:10} {self.trials[case, kind]:6} "
                f"{ends[0]:5} {ends[1]:6} {ends[2]:6}"
            )


class Torture:
    """Trials until all are done or the time is over."""

    def __init__(self, world: World, tally: Tally, every: int, end: float) -> None:
        self._world = world
        self._tally = tally
        self._every = every
        self._end = end

    def calls(self, name: str, case: Case) -> bool:
        """Faults at system calls; whether the time was enough."""
        words = self._world.words
        with case.trial(self._world, self._world.folder) as trial:
            ended = case.go(trial, counting(words))
            most = counted(words)
            self._tally.note(name, "none", ended.code, "no fault", case.judged(trial, ended))
        faults = [
            Fault(call, kind, when)
            for call in CALLS
            for kind in case.kinds
            if kind != "short" or call in SHORT
            for when in range(1, most[call] + 1)
        ]
        for fault in faults[:: self._every]:
            if time.monotonic() > self._end:
                return False
            with case.trial(self._world, self._world.folder) as trial:
                ended = case.go(trial, injecting(fault, words))
                problem = case.judged(trial, ended)
            what = f"{fault.kind} at {fault.call} {fault.when} of {most[fault.call]}"
            self._tally.note(name, fault.kind, ended.code, what, problem)
        return True

    def full(self, name: str, case: Case, kind: str, place: Path) -> bool:
        """A file system with little room; whether the time was enough."""
        for room in ROOMS[:: min(self._every, len(ROOMS) - 1)]:
            if time.monotonic() > self._end:
                return False
            with case.trial(self._world, place) as trial:
                smalldisks.fill(place, room * 1024)
                ended = case.go(trial)
                smalldisks.empty(place)
                problem = case.judged(trial, ended)
            self._tally.note(name, kind, ended.code, f"{kind} with {room} KiB left", problem)
        return True


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(CASES))
    parser.add_argument("--every", type=int, default=1, help="only every n-th fault (default 1)")
    parser.add_argument("--seconds", type=float, default=1800, help="at most (default 1800)")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.commands) - set(CASES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    sys.dont_write_bytecode = True
    names = asked.commands or list(CASES)
    tally, begun = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        with beacon(folder) as address:
            torture = Torture(World(folder, address), tally, asked.every, begun + asked.seconds)
            left_out = [each for each in names if not torture.calls(each, CASES[each])]
            for kind in smalldisks.KINDS:
                with smalldisks.mounted(kind, folder) as place:
                    left_out += [
                        f"{each} on a full {kind}"
                        for each in names
                        if not CASES[each].lasts
                        if place is None or not torture.full(each, CASES[each], kind, place)
                    ]
    print("\n".join(tally.table()))
    if left_out:
        print(f"not all of: {', '.join(left_out)} (no time, or no right to mount)")
    for problem in tally.wrong:
        print(f"WRONG {problem}")
    trials = sum(tally.trials.values())
    print(f"torture: {trials} trials, {len(tally.wrong)} wrong, {time.monotonic() - begun:.0f} s")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
