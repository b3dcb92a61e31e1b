"""What is counted stays bounded, and is told now and then, whatever the disk does."""

import errno
from pathlib import Path

from bridge.daemon.counting import TELL_EVERY_S, IntakeTeller
from bridge.egress.event import Event
from bridge.intake.counts import IDS_MAX, IntakeCounts, RecentIds
from spool.durable import OsDisk
from spool.intakefile import IntakeSums, read_intake
from spool.lines import Lines


def test_an_id_is_known_for_as_long_as_thousands_of_others_and_forgotten_then() -> None:
    ids = RecentIds()
    assert ids.count_known(["a", "b", "a"]) == 1
    assert ids.count_known(map(str, range(IDS_MAX - 2))) == 0
    assert ids.count_known(["a"]) == 1
    assert ids.count_known(f"x{n}" for n in range(2 * IDS_MAX)) == 0
    assert ids.count_known(["b"]) == 0
    assert len(ids._now) + len(ids._before) <= 2 * IDS_MAX  # noqa: SLF001 - the bound itself


def test_lines_are_counted_by_what_became_of_them() -> None:
    counts = IntakeCounts()
    counts.count_taken("logs", Lines([b"{}"], dropped=2, filtered=3))
    counts.count_taken("logs", Lines([]))
    counts.count_taken("transactions", Lines([b"{}", b"{}"], ids=("a", "a")))
    assert counts.copy() == IntakeSums(
        records={"logs": 1, "transactions": 2},
        filtered={"logs": 3},
        dropped={"logs": 2},
        repeated=1,
    )


class Clock:
    """Stands still until it is told."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 1_795_424_400_000 + int(self.now * 1000)


class FullDisk(OsDisk):
    """Has no room while it is full; counts its syncs."""

    full = False
    syncs = 0

    def sync(self, fd: int) -> None:
        self.syncs += 1
        if self.full:
            raise OSError(errno.ENOSPC, "no")
        super().sync(fd)


def told(spool: Path) -> dict[str, int]:
    said = read_intake(spool)
    assert said is not None
    return dict(said.sums.requests)


def test_counts_are_told_at_most_every_ten_seconds_only_when_changed_and_at_the_end(
    tmp_path: Path,
) -> None:
    counts, disk, clock = IntakeCounts(), FullDisk(), Clock()
    events: list[Event] = []
    teller = IntakeTeller(tmp_path, counts, disk=disk, clock=clock, tell=events.append)
    assert (told(tmp_path), disk.syncs) == ({}, 1)
    counts.requests["/v1/logs"] += 1
    teller.look()
    assert told(tmp_path) == {}
    clock.now += TELL_EVERY_S
    teller.look()
    assert told(tmp_path) == {"/v1/logs": 1}
    clock.now += TELL_EVERY_S
    teller.look()
    assert disk.syncs == 2
    counts.requests["/v1/logs"] += 1
    teller.close()
    assert told(tmp_path) == {"/v1/logs": 2}
    assert events == []


def test_a_disk_that_is_full_is_said_once_and_tried_again(tmp_path: Path) -> None:
    counts, disk, clock = IntakeCounts(), FullDisk(), Clock()
    disk.full = True
    events: list[Event] = []
    teller = IntakeTeller(tmp_path, counts, disk=disk, clock=clock, tell=events.append)
    for _ in range(3):
        clock.now += TELL_EVERY_S
        teller.look()
    assert [event.name for event in events] == ["intake.untold"]
    disk.full = False
    clock.now += TELL_EVERY_S
    teller.look()
    assert told(tmp_path) == {}
