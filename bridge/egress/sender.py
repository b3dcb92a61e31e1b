"""One lane's way to the beacon: the next batch, one attempt, and what follows from the answer.

A batch is a row before its first attempt and repeated with the same bounds and key until it is
answered, by the next process too. What the answer means is judged elsewhere (``verdict``); here it
is carried out, in the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.egress.answers import Failure
from bridge.egress.cargo import Cargo, Hold
from bridge.egress.circuits import EVERYTHING, Scope
from bridge.egress.client import BeaconClient
from bridge.egress.cursor import DamagedSegmentError
from bridge.egress.mending import Mender
from bridge.egress.routes import Route
from bridge.egress.verdict import Kind, Verdict, judge
from spool.clock import Clock
from spool.lane import Lane
from spool.ledger import Answer, Batch, Ledger, RecordException

NO_LICENSE = "no license key for this node"
REFUSED_MAX = 100
"""Records of a lane refused in a row with none taken between: then it is not the records."""
NOT_CARRIED = "not_carried"
"""The verdict on segments that hold no records: they travel in bundles, not by this route."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: whether there was anything to do, and what it found out of the beacon.

    ``trip`` is a circuit to open with a reason and the wait that was asked for; ``reached`` says
    that the beacon took a request, ``blocked`` why nothing can be sent.
    """

    idle: bool = False
    reached: bool = False
    blocked: str | None = None
    trip: tuple[Scope, str, float | None] | None = None
    refused: bool = False
    mended: tuple[int, int] | None = None


class Sender:
    """Sends one lane, one request at a time."""

    def __init__(  # noqa: PLR0913 - what one lane needs, given once
        self,
        lane: Lane,
        route: Route,
        ledger: Ledger,
        client: BeaconClient,
        *,
        hold: Hold,
        mender: Mender,
        license_key: Callable[[], str | None],
        clock: Clock,
        raw_max: int,
    ) -> None:
        self.lane = lane
        self.route = route
        self.scopes: tuple[Scope, ...] = (
            EVERYTHING,
            ("route", route.path),
            ("license", lane.node),
            ("route", route.path, "license", lane.node),
        )
        self._ledger = ledger
        self._client = client
        self._hold = hold
        self._mender = mender
        self._license_key = license_key
        self._clock = clock
        self._raw_max = raw_max
        self._refused = 0

    def step(self) -> Step:
        """Make or repeat one batch, or settle what needs no request.

        Raises :class:`BridgeError` or :class:`OSError` where the spool or the ledger fails;
        nothing was changed then but the count of attempts.
        """
        try:
            found = self._next()
        except DamagedSegmentError as error:
            self._hold.close()
            return Step(mended=self._mender.mend(error.seq))
        if found is None:
            self._hold.close()
            return Step(idle=True)
        batch, cargo = found
        if batch is None:
            answer = Answer(self._clock.wall_ms(), self.route.path, cargo.sent, None, NOT_CARRIED)
            self._ledger.settle_unsent(self.lane, cargo.bounds, answer, cargo.segments)
            return Step()
        key = self._license_key()
        return Step(blocked=NO_LICENSE) if key is None else self._attempt(batch, cargo, key)

    def close(self) -> None:
        """Let go of the open segment."""
        self._hold.close()

    def _next(self) -> tuple[Batch | None, Cargo] | None:
        """The batch to send and what it carries; no batch for segments without records."""
        waiting = self._ledger.open_batches(self.lane)
        if waiting:
            return waiting[0], self._hold.load(waiting[0].bounds)
        for chain, start, end in self._ledger.unbatched(self.lane):
            cargo = self._hold.gather(
                chain, start, end, raw_max=self._raw_max, lines_max=self.route.lines_max
            )
            if cargo is None:
                continue
            if not cargo.chunks:
                return None, cargo
            return self._ledger.open_batch(self.lane, cargo.bounds, cargo.key(self.lane)), cargo
        return None

    def _attempt(self, batch: Batch, cargo: Cargo, key: str) -> Step:
        sent = cargo.sent
        body = self.route.body(cargo.unload(), key)
        headers = self.route.headers(key) | {"Idempotency-Key": batch.key}
        batch = self._ledger.attempt(batch.id, self._clock.wall_ms())
        reply = self._client.post(self.route.path, headers, body)
        verdict = judge(self.route, sent.records, reply, now_ms=self._clock.wall_ms(), secret=key)
        if isinstance(reply, Failure):
            if reply.outcome_unknown:
                self._ledger.doubt(batch.id)
            else:
                self._ledger.unsent(batch.id)
            return Step(trip=(EVERYTHING, verdict.reason, verdict.retry_after_s))
        answer = Answer(
            self._clock.wall_ms(),
            self.route.path,
            sent,
            reply.status,
            verdict.kind,
            verdict.accepted,
            verdict.excerpt,
        )
        return self._act(batch, cargo, verdict, answer)

    def _act(self, batch: Batch, cargo: Cargo, verdict: Verdict, answer: Answer) -> Step:
        kind = verdict.kind
        if kind is Kind.DELIVERED:
            self._ledger.settle(batch.id, answer, cargo.segments)
            self._refused = 0
            return Step(reached=True)
        if kind in (Kind.BISECT, Kind.SPLIT):
            if answer.sent.records > 1:
                halves = cargo.halves()
                keys = [self._hold.load(half).key(self.lane) for half in halves]
                self._ledger.split(batch.id, answer, halves, keys)
                return Step()
            assert answer.status is not None  # noqa: S101 - an answer has one
            first = batch.bounds
            refused = RecordException(
                first.first_seq,
                first.first_line,
                answer.at,
                kind,
                answer.status,
                answer.text,
            )
            self._ledger.settle(batch.id, answer, cargo.segments, [refused])
            self._refused += 1
            if self._refused < REFUSED_MAX:
                return Step(refused=True)
            reason = f"{self._refused} records refused in a row, none taken"
            return Step(refused=True, trip=(("route", self.route.path), reason, None))
        self._ledger.answered(batch.id, answer, doubt=verdict.outcome_unknown)
        scope = {
            Kind.PAUSE_LICENSE: ("license", self.lane.node),
            Kind.PAUSE_ROUTE: ("route", self.route.path),
            Kind.RETRY: ("route", self.route.path, "license", self.lane.node),
        }.get(kind, EVERYTHING)
        return Step(trip=(scope, verdict.reason, verdict.retry_after_s))
