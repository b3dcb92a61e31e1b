"""How things stand: one answer, for people, for scripts, and later for a page.

Everything is read from the spool, so it is true whether the daemon runs or not: the ledger's counts,
what the daemon said of egress last, whether somebody holds the sender's lock. Healthy means that
nothing needs a person; an outage with room in the spool is healthy.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spool.discovery import discover, said_by
from spool.egressfile import EgressState, LaneFailure, read_egress_state
from spool.intakefile import IntakeSaid, read_intake
from spool.lane import Lane, lanes
from spool.ledger import LaneCounts, Ledger, State
from spool.openfile import open_files
from spool.sender_lock import Holder, read_holder
from spool.usage import bytes_below


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs a person: a stable id, what it is, what to do."""

    id: str
    message: str
    hint: str

    @classmethod
    def of(cls, failed: LaneFailure) -> "Problem":
        """A lane that fails, under the id of what it fails on."""
        message = f"{failed.node}/{failed.stream} is not sent: {failed.message}"
        return cls(failed.id, message, failed.hint)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane: the ledger's counts (None before its first segment), and what lies unsealed.

    ``open_bytes`` are stored bytes; ``oldest_pending_at`` is when the first record of the oldest
    pending segment was accepted, ms since 1970 UTC.
    """

    lane: Lane
    counts: LaneCounts | None
    open_bytes: int
    oldest_pending_at: int | None

    def segments(self, state: State) -> int:
        """How many segments are in ``state``."""
        return 0 if self.counts is None else self.counts.segments[state]

    def records(self, state: State) -> int:
        """How many records are in ``state``."""
        return 0 if self.counts is None else self.counts.records[state]


@dataclass(frozen=True, slots=True)
class Status:
    """How things stood at one moment (``at``, ms since 1970 UTC); sizes in bytes.

    ``intake`` is what the daemon counted last, None if none ever did.
    """

    node: str
    at: int
    mode: str
    holder: Holder | None
    egress: EgressState | None
    intake: IntakeSaid | None
    bytes_used: int
    bytes_max: int
    bytes_free: int
    lanes: Sequence[LaneStatus]
    problems: Sequence[Problem]

    @property
    def healthy(self) -> bool:
        """Whether nothing needs a person."""
        return not self.problems

    @property
    def drained(self) -> bool:
        """Whether nothing is pending, sealed or not."""
        return not any(lane.segments(State.PENDING) or lane.open_bytes for lane in self.lanes)

    @property
    def delivered(self) -> bool:
        """Whether nothing is pending or exported."""
        return self.drained and not any(lane.segments(State.EXPORTED) for lane in self.lanes)


def look(
    spool: Path,
    ledger: Ledger,
    *,
    node: str,
    mode: str,
    bytes_max: int,
    at: int,
    licensed: Callable[[Lane], bool],
    open_at: str | None = None,
) -> Status:
    """How things stand in ``spool``; ``licensed`` tells whether a lane has a key to be sent with.

    ``open_at`` is where the intake takes telemetry from other machines without a license key, None
    where it does not.

    What was sealed and not yet told to the ledger is told now. Raises :class:`SpoolError` or
    :class:`OSError`.
    """
    for lane in lanes(spool):
        discover(ledger, lane)
    counted = {(counts.node, counts.stream): counts for counts in ledger.counts()}
    found = [_lane(lane, counted.get((lane.node, lane.stream))) for lane in lanes(spool)]
    holder, egress = read_holder(spool), read_egress_state(spool)
    return Status(
        node=node,
        at=at,
        mode=mode,
        holder=holder,
        egress=egress,
        intake=read_intake(spool),
        bytes_used=sum(bytes_below(lane.folder) for lane in lanes(spool)),
        bytes_max=bytes_max,
        bytes_free=shutil.disk_usage(spool).free,
        lanes=found,
        problems=[
            *_problems(found, egress, licensed if mode == "online" else lambda _: True),
            *([] if open_at is None else [_open(open_at)]),
        ],
    )


def _lane(lane: Lane, counts: LaneCounts | None) -> LaneStatus:
    oldest = None
    if counts is not None and counts.first_pending is not None:
        said = said_by(lane, counts.first_pending)
        oldest = None if said is None else said.first_at
    unsealed = 0
    for path in open_files(lane):
        try:
            unsealed += os.lstat(path).st_size
        except FileNotFoundError:
            continue  # sealed meanwhile
    return LaneStatus(lane, counts, unsealed, oldest)


def _problems(
    found: Sequence[LaneStatus], egress: EgressState | None, licensed: Callable[[Lane], bool]
) -> Iterator[Problem]:
    for lane in found:
        name = f"{lane.lane.node}/{lane.lane.stream}"
        if lost := lane.segments(State.LOST):
            yield Problem(
                "spool.lost",
                f"{lost} segments of {name} are lost; loss records say which.",
                f"Look at quarantine/ and at bridge inspect of the loss records of {name}.",
            )
        if lane.counts is not None and lane.counts.exceptions:
            yield Problem(
                "record.refused",
                f"The beacon refused {lane.counts.exceptions} records of {name}.",
                "Look at bridge audit for its answers, then replay or discard them.",
            )
        if lane.counts is not None and lane.counts.partial:
            yield Problem(
                "record.partial",
                f"The beacon counted {lane.counts.partial} records of {name} less than it was sent.",
                "Compare with the vendor; nothing was sent again.",
            )
        if not licensed(lane.lane) and lane.segments(State.PENDING):
            yield Problem(
                "license.missing",
                f"There is no license key for node {lane.lane.node}; {name} waits.",
                "Set license_key_file, or licenses: for another node.",
            )
    for failed in () if egress is None else egress.failed:
        yield Problem.of(failed)
    if egress is not None and egress.state == "paused":
        yield Problem(
            "egress.paused",
            "The beacon refuses the license or a route; nothing was dropped.",
            "Look at the daemon's log for its answer, and at the license key.",
        )


def _open(where: str) -> Problem:
    return Problem(
        "intake.open",
        f"The intake on {where} takes telemetry without a license key from any machine.",
        "Set intake.require_license to auto or true, or listen on a loopback address.",
    )
