"""Keeps the spool within its room, and lets go of what is old; in a thread of its own.

It sleeps until a glance from elsewhere shows that a round has something to do. What fails is said once,
and tried again at the next round: a full disk gives up its ballast first.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bridge.config.model import ONE_WAY, Config
from bridge.daemon.ballasting import give_up, is_for_room
from bridge.daemon.calm import Calm
from bridge.daemon.ending import end
from bridge.daemon.letgo import BY_AGE, FOR_ROOM, SWITCHED_OFF, stays, went
from bridge.egress.event import Event
from bridge.intake.room import Room
from keys.ed25519 import SigningKey
from keys.errors import BridgeError
from spool.ageclock import next_look, read_look, write_look
from spool.asking import ask
from spool.ballast import Ballast
from spool.clock import Clock
from spool.discovery import discover, news_mark
from spool.durable import Disk, explained
from spool.lane import Lane, lanes
from spool.ledger import Ledger
from spool.pruning import Pruner
from spool.retention import to_free
from spool.sealing import Sealer
from spool.streams import STREAMS, Kind

AGE_EVERY_S = 3600.0
"""Seconds between two looks at ages: they are counted in days."""
REST_SHARE = 20
"""A round that found too little to delete looked at every segment there is: the next begins after so
many times as long, or when the ledger has changed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may stay: bytes of ballast, and how long (ms) what was delivered and the audit are kept.

    Where nobody confirms what was exported, it is kept as long, and until it is in ``copies`` bundles;
    None: it is kept until somebody does.
    """

    ballast: int
    keep: Mapping[Kind, int]
    audit: int
    copies: int | None = None

    @classmethod
    def of(cls, config: Config) -> "Rules":
        """Those of the configuration."""
        spool = config.spool
        keep = spool.retention.keep
        kinds: Mapping[Kind, int] = {
            "billing": keep.billing,
            "usage": keep.other,
            "operational": keep.other,
        }
        one_way = config.transfer.receipts == ONE_WAY
        copies = config.transfer.copies if one_way else None
        return cls(spool.ballast, kinds, spool.retention.audit, copies)


class Retaining:
    """Rounds over one spool, from :meth:`start` to :meth:`stop`, or one by one.

    ``sealer_of`` gives the sealer of a lane of this node, None for another's. ``room`` tells how much
    there is, and ``freed`` is told how many bytes went; ``off`` are the streams
    that are switched off now.
    """

    def __init__(  # noqa: PLR0913 - what retention needs, given once
        self,
        spool: Path,
        ledger: Ledger,
        sealer_of: Callable[[Lane], Sealer | None],
        rules: Rules,
        room: Callable[[], Room],
        freed: Callable[[int], None],
        *,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
        off: Callable[[], Collection[str]] = frozenset,
        calm: Calm | None = None,
    ) -> None:
        self._calm = calm or Calm()
        self._spool = spool
        self._off = off
        self._ledger = ledger
        self._rules = rules
        self._room = room
        self._freed = freed
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._pruner = Pruner(ledger, sealer_of, disk)
        self._ballast = Ballast(disk, spool, rules.ballast)
        self._age_at = 0.0
        self._said_unnamed: dict[Lane, int] = {}
        self._said = ""
        self._said_stuck = False
        self._dropped: object = None
        self._rests_until = 0.0
        self._rests_with: object = None
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self.broken: BaseException | None = None
        """What ended the thread; the process must say so and stop."""

    def start(self) -> None:
        """Begin with rounds."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is deleted now; what does not end by then, ends with the process."""
        self._stop.set()
        self._woken.set()
        end(self._thread)

    @property
    def is_troubled(self) -> bool:
        """Whether the last round failed, or found too little to delete."""
        return bool(self._said or self._said_stuck)

    def glance(self) -> None:
        """Have a round begin where there is something to do; to be called on the beat. Never waits."""
        try:
            is_due = (
                (self.is_troubled and not self.rests())
                or self._is_age_due()
                or (bool(self._off()) and self._waiting() != self._dropped)
                or (not self.is_troubled and self._is_room_wanted())
            )
        except OSError:
            is_due = True  # the round tells of it
        if is_due:
            self._woken.set()

    def rests(self) -> bool:
        """Whether a round so soon would find what the last one found; raises :class:`OSError`."""
        if self._clock.monotonic() >= self._rests_until:
            return False
        return bool(self._ledger.mark() == self._rests_with)

    def round(self) -> None:
        """One round; what fails is told, nothing is raised."""
        begun, self._rests_with = self._clock.monotonic(), self._mark()
        self._one_round()
        ended = self._clock.monotonic()
        self._rests_until = ended + REST_SHARE * (ended - begun)

    def _mark(self) -> object:
        try:
            return self._ledger.mark()
        except OSError:
            return None

    def _one_round(self) -> None:
        try:
            unknown = self._take_stock()
            self._drop_switched_off()
            self._make_room()
            self._by_age()
            if unknown is not None:
                raise unknown
            self._said = ""
        except (OSError, BridgeError) as error:
            known = (
                explained(error, "make room in the spool") if isinstance(error, OSError) else error
            )
            self._failed(known)
            if is_for_room(error):
                self._let_go()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.round()
                self._woken.wait()
                self._woken.clear()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            self.broken = error
            self._calm.stir()

    def _take_stock(self) -> OSError | BridgeError | None:
        """Tell the ledger what is new, offline nobody else does; why some of it could not be told."""
        failed = None
        for lane in self._lanes():
            try:
                discover(self._ledger, lane)
            except (OSError, BridgeError) as error:
                failed = failed or error
        return failed

    def _drop_switched_off(self) -> None:
        """Records of a stream that the operator has switched off since are not kept to be sent."""
        off = self._off()
        self._dropped = self._waiting() if off else None
        for lane in self._lanes() if off else ():
            if lane.stream in off:
                for pruned in self._pruner.drop_waiting(lane):
                    self._freed(pruned.size)
                    self._tell(went(pruned, SWITCHED_OFF))
                    if self._stop.is_set():
                        return

    def _waiting(self) -> object:
        """What is another one when more may wait in a stream that is switched off."""
        off = self._off()
        marks = [news_mark(lane) for lane in self._lanes() if lane.stream in off]
        return off, self._ledger.mark(), marks

    def _is_room_wanted(self) -> bool:
        room = self._room()
        wanted = to_free(room.used, room.max_size, room.free, room.min_free)
        return bool(wanted) or self._ballast.wants(room.free - room.min_free)

    def _make_room(self) -> None:
        room = self._room()
        wanted = to_free(room.used, room.max_size, room.free, room.min_free)
        if not wanted:
            self._said_stuck = False
            if self._ballast.take(room.free - room.min_free):
                self._tell(Event("spool.ballast", "The spool's ballast is in its place."))
            return
        freed = 0
        forks = self._ledger.fork_lanes(self._spool)
        for pruned in self._pruner.make_room(self._lanes(), wanted, forks):
            freed += pruned.size
            self._freed(pruned.size)
            self._tell(went(pruned, FOR_ROOM))
            if self._stop.is_set():
                return
        if freed < wanted:
            self._have_sealed()
        if freed < wanted and not self._said_stuck:
            self._said_stuck = True
            message = (
                "The spool is nearly full, and nothing more may be deleted; producers will wait."
            )
            self._tell(Event("spool.filling", message, {"missing_bytes": wanted - freed}))

    def _have_sealed(self) -> None:
        """What lies in open files may give way once it is sealed, and waits for minutes otherwise."""
        for lane in self._lanes():
            stream = STREAMS.get(lane.stream)
            if stream is not None and stream.droppable:
                ask(lane)

    def _by_age(self) -> None:
        if not self._is_age_due():
            return
        self._age_at = self._clock.monotonic() + AGE_EVERY_S
        look = next_look(read_look(self._spool), self._clock.wall_ms())
        write_look(self._disk, self._spool, look)
        self._pruner.declare(self._lanes())
        if not look.believed:
            return
        before = {kind: look.at - keep for kind, keep in self._rules.keep.items()}
        forks = self._ledger.fork_lanes(self._spool)
        for pruned in chain(
            self._pruner.by_age(self._lanes(), before, self._rules.copies),
            self._pruner.forks_by_age(forks, before),
        ):
            self._freed(pruned.size)
            self._tell(went(pruned, BY_AGE))
            if self._stop.is_set():
                return
        self._say_unnamed()
        while self._ledger.forget_audit(look.at - self._rules.audit) and not self._stop.is_set():
            pass

    def _say_unnamed(self) -> None:
        """Once for each time that it becomes more: it stays for ever, however old."""
        for lane, count in self._pruner.unnamed.items():
            if count > self._said_unnamed.get(lane, 0):
                self._tell(stays(lane, count))
            self._said_unnamed[lane] = count

    def _is_age_due(self) -> bool:
        return not self._age_at or self._clock.monotonic() >= self._age_at

    def _lanes(self) -> list[Lane]:
        return list(lanes(self._spool))

    def _failed(self, problem: BridgeError) -> None:
        if problem.message != self._said:
            self._said = problem.message
            self._tell(Event("spool.retention", problem.message, {"error": problem.id}))

    def _let_go(self) -> None:
        try:
            give_up(self._ballast, self._clock, self._tell)
        except OSError as error:
            self._failed(explained(error, "give up the ballast"))


def retaining_for(  # noqa: PLR0913 - what retention needs, given once
    config: Config,
    signer: SigningKey,
    ledger: Ledger,
    room: Callable[[], Room],
    freed: Callable[[int], None],
    *,
    disk: Disk,
    clock: Clock,
    tell: Callable[[Event], None],
    off: Callable[[], Collection[str]],
    calm: Calm | None = None,
) -> Retaining:
    """Rounds over the spool of ``config``, whose own lanes ``signer`` seals."""

    def sealer_of(lane: Lane) -> Sealer | None:
        return Sealer(disk, lane, signer, clock) if lane.node == config.node else None

    return Retaining(
        config.spool.path,
        ledger,
        sealer_of,
        Rules.of(config),
        room,
        freed,
        disk=disk,
        clock=clock,
        tell=tell,
        off=off,
        calm=calm,
    )
