"""Keeps this node's own lanes in order: recovers, seals for those who cannot, shows silence.

Every few seconds it takes care of files whose writer is gone. A billing lane that sealed nothing for a
day gets a heartbeat, so that silence is a fact and not a guess.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bridge.egress.event import Event
from keys.ed25519 import SigningKey
from keys.errors import BridgeError
from spool.chain import begin_lane
from spool.clock import Clock
from spool.discovery import news_mark
from spool.durable import Disk
from spool.gently import LeftOff, may_leave_off
from spool.head import read_head
from spool.lane import Lane
from spool.ledger import Ledger
from spool.recovery import Recovered, Recovery
from spool.sealing import HEARTBEAT_MS, Sealer
from spool.streams import STREAMS
from spool.usage import is_settled

BEATS_APART_S = 3600.0
"""Seconds at least between two heartbeats of a lane, whatever clocks say."""


class Housekeeping:
    """The lanes that this node seals itself."""

    def __init__(
        self,
        spool: Path,
        node: str,
        signer: SigningKey,
        *,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_over``: from then on what can wait for the next start is left undone."""
        self._is_over = is_over
        self._clock = clock
        self._disk = disk
        self._tell = tell
        self._empty: dict[str, int] = {}
        self._heads: dict[str, tuple[tuple[int, int] | None, int]] = {}
        self._beaten: dict[str, float] = {}
        self.is_at_rest = False
        """Whether no lane had an open file at the last look."""
        self.sealers = {
            name: Sealer(disk, Lane(spool, node, name), signer, clock) for name in STREAMS
        }

    def begin(self, ledger: Ledger) -> None:
        """Make the lanes and bring their heads in order.

        A head below what ``ledger`` knows was set back without it: no number of then is used again.
        Raises :class:`OSError` or :class:`LedgerError`.
        """
        for sealer in self.sealers.values():
            begin_lane(self._disk, sealer.lane)
            last = ledger.last(sealer.lane)
            said = sealer.settle_head(0 if last is None else last.seq)
            if said is not None:
                self._tell(
                    Event(
                        "chain.began",
                        f"The lane {sealer.lane.node}/{sealer.lane.stream} begins a new chain.",
                        {"stream": sealer.lane.stream, "seq": said.seq, "chain": said.chain},
                    )
                )

    def look(self) -> None:
        """Recover what lies in ``open/`` without a writer; seal the heartbeats that are due.

        Raises :class:`OSError` or :class:`BridgeError`, the first of all lanes', at the end: what is
        wrong with one lane holds up none of the others.
        """
        self.is_at_rest = False  # also where it fails
        with suppress(LeftOff), may_leave_off(self._is_over):
            self.is_at_rest = self._look()

    def _look(self) -> bool:
        """Whether no lane has an open file."""
        is_at_rest, failed = True, None
        for sealer in self.sealers.values():
            try:
                is_at_rest &= self._look_at(sealer)
            except (OSError, BridgeError) as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return is_at_rest

    def _look_at(self, sealer: Sealer) -> bool:
        """Whether the lane has no open file."""
        lane = sealer.lane
        if self._is_half_sealed(lane):
            sealer.settle_head()
        is_at_rest = self._is_empty(f"{lane.place}/open")
        if not is_at_rest:
            for done in Recovery(self._disk, sealer, self._clock).recover():
                self._tell(_event(lane, done))
        if STREAMS[lane.stream].kind == "billing" and self._silent(lane):
            sealer.heartbeat()
            self._beaten[lane.stream] = self._clock.monotonic()
        return is_at_rest

    def _is_half_sealed(self, lane: Lane) -> bool:
        """Whether something lies in the next number's place.

        Where the disk failed a sealing between its rename and the head, nothing else would send what
        was acknowledged until something more is sealed in that lane, which may be never.
        """
        mark = news_mark(lane)
        if mark != self._heads.get(lane.stream, (None, 0))[0]:
            head = read_head(lane)
            self._heads[lane.stream] = mark, 0 if head is None else head.seq
        seq = self._heads[lane.stream][1]
        return bool(seq) and os.path.lexists(lane.segment_place(seq + 1))

    def _is_empty(self, folder: str) -> bool:
        """Whether nothing is in ``folder``; one that was empty is read again when it has changed."""
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - the time alone
            if self._empty.get(folder) == changed:
                return True
            settled = is_settled(changed)
            if os.listdir(folder):  # noqa: PTH208 - names alone
                return False
        except FileNotFoundError:
            return True
        if settled:
            self._empty[folder] = changed
        return True

    def _silent(self, lane: Lane) -> bool:
        beaten = self._beaten.get(lane.stream)
        if beaten is not None and self._clock.monotonic() - beaten < BEATS_APART_S:
            return False  # the disk's clock may be another one than ours
        try:
            sealed_at = os.stat(f"{lane.place}/head").st_mtime_ns // 1_000_000  # noqa: PTH116
        except FileNotFoundError:
            return True
        # A clock that was set back shows an age below zero; then, too, a heartbeat is due.
        return not 0 <= self._clock.wall_ms() - sealed_at < HEARTBEAT_MS


def _event(lane: Lane, done: Recovered) -> Event:
    fields: dict[str, object] = {
        "stream": lane.stream,
        "file": done.name,
        "seq": None if done.sealed is None else done.sealed.seq,
        "torn_bytes": done.torn,
        "bad_bytes": done.bad,
        "kept": None if done.kept is None else str(done.kept),
    }
    if done.kept is not None:
        return Event("spool.quarantined", "A damaged or foreign file is in quarantine.", fields)
    if done.sealed is None:
        return Event("spool.cleared", "An open file held nothing that was acknowledged.", fields)
    return Event("spool.recovered", "A file whose writer is gone was sealed.", fields)
