"""One lane's way to the beacon: the next batch, one attempt, and what follows from the answer.

A batch is a row before its first attempt and repeated with the same bounds and key until it is
answered, by the next process too. What the answer means is judged elsewhere (``verdict``); here it
is carried out, in the ledger.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from bridge.egress.answers import Failure
from bridge.egress.cargo import Cargo, Hold
from bridge.egress.circuits import EVERYTHING, Scope
from bridge.egress.client import BeaconClient
from bridge.egress.cursor import DamagedSegmentError
from bridge.egress.inside import Inside, Part
from bridge.egress.limits import REQUEST_LEAST
from bridge.egress.mending import Mender
from bridge.egress.refusals import Refusals
from bridge.egress.requestsize import RequestSize
from bridge.egress.routes import Route
from bridge.egress.step import Step
from bridge.egress.untold import Untold
from bridge.egress.verdict import Kind, Verdict, judge
from bridge.terminal import counted
from spool.clock import Clock
from spool.lane import Lane
from spool.ledger import Answer, Attempt, Batch, Bounds, Ledger, Position, RecordException
from spool.streams import STREAMS
from spool.totals import Totals

NO_LICENSE = "no license key for this node"
NOT_CARRIED = "not_carried"
"""The verdict on segments that hold no records: they travel in bundles, not by this route."""


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
        refusals: Refusals,
        license_key: Callable[[], str | None],
        clock: Clock,
        raw_max: int,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """It waits for the network within ``waiting``, or mends; other work is outside of it."""
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
        self._to = client.url + route.path
        self._hold = hold
        self._mender = mender
        self._license_key = license_key
        self._clock = clock
        self._size = RequestSize(raw_max)
        self._refusals = refusals
        self._inside: Inside | None = None
        self._keyless: object = None
        """What was to be sent when there was no key to send it with."""
        self._untold = Untold()
        self._waiting = waiting

    def step(self) -> Step:
        """Make or repeat one batch, or settle what needs no request.

        Raises :class:`BridgeError` or :class:`OSError` where the spool or the ledger fails;
        nothing was changed then but the count of attempts. An answer that came is entered by the next
        step then, before anything is sent.
        """
        return self._untold.enter() if self._untold.is_there else self._send()

    def _send(self) -> Step:
        key = self._license_key()
        waiting, free = self._ledger.to_send(self.lane)
        first = waiting or free[:1]
        if key is None and first and first == self._keyless:
            return Step(blocked=NO_LICENSE)
        try:
            found = self._next(waiting, free)
        except DamagedSegmentError as error:
            self._hold.close()
            with self._waiting():  # a large segment is written anew
                return Step(mended=self._mender.mend(error.seq))
        if found is None:
            self._hold.close()
            return Step(idle=True)
        batch, cargo, backlog = found
        if not cargo.chunks:
            answer = Answer(self._clock.wall_ms(), self._to, cargo.sent, None, NOT_CARRIED)
            self._ledger.settle_unsent(self.lane, cargo.bounds, answer, cargo.segments)
            return Step()
        if key is None:
            self._hold.close()
            self._keyless = first
            return Step(blocked=NO_LICENSE)
        if self._inside is not None and (batch is None or self._inside.batch != batch.id):
            self._inside = None  # somebody took the batch away
        try:
            step = self._attempt(batch, cargo, key)
        except BaseException:
            # Nobody knows how far it came: from the first part on again, by the same keys.
            self._inside = None
            raise
        return replace(step, backlog=backlog)

    def wanted(self) -> Scope | None:
        """A person wants it sent now; the scope that a row of refusals had paused, None if none had."""
        return ("route", self.route.path) if self._refusals.wanted() else None

    def close(self) -> None:
        """Let go of the open segment."""
        self._hold.close()

    def _next(
        self, waiting: Batch | None, free: Sequence[tuple[str, Position, Position]]
    ) -> tuple[Batch | None, Cargo, bool | None] | None:
        """The batch to repeat, what it carries, and whether it leaves something for another one.

        No batch for what was never sent; segments without records need none.
        """
        if waiting is not None:
            return waiting, self._hold.load(waiting.bounds), None
        for chain, start, end in free:
            cargo = self._hold.gather(
                chain, start, end, raw_max=self._size.now, lines_max=self.route.lines_max
            )
            if cargo is None:
                continue
            return None, cargo, cargo.next_position < free[-1][2] if cargo.chunks else None
        return None

    def _attempt(self, repeated: Batch | None, cargo: Cargo, license_key: str) -> Step:
        """One request, of all of the batch or of a part of its one line, and what follows."""
        whole = sent = cargo.sent
        part, count = None, sent.records
        batch_key = cargo.key(self.lane) if repeated is None else repeated.key
        key = batch_key
        if self._inside is None:
            body = self.route.body(cargo.unload(), count, license_key)
        else:
            part = self._inside.take(cargo.line)
            count, key, sent = part.records, part.key, Totals(0, len(part.line))
            body = self.route.body([part.line + b"\n"], 1, license_key)
        headers = self.route.headers(license_key) | {"Idempotency-Key": key}
        batch = self._begun(repeated, cargo.bounds, batch_key, whole)
        reply = self._client.post(self.route.path, headers, body, waiting=self._waiting)
        now_ms = self._clock.wall_ms()
        verdict = judge(self.route, count, reply, now_ms=now_ms, secret=license_key)
        if isinstance(reply, Failure):
            if reply.outcome_unknown:
                self._ledger.doubt(batch.id)
            else:
                self._ledger.unsent(batch.id)
            if reply.too_slow and part is None and sent.raw_size > REQUEST_LEAST:
                self._size.too_large(sent.raw_size)
                if sent.records > 1:
                    self._split(batch, cargo, None)
            step = Step(trip=(EVERYTHING, verdict.reason, verdict.retry_after_s))
        else:
            text = verdict.excerpt if part is None else f"part {part.name}: {verdict.excerpt}"
            answer = Answer(
                now_ms,
                self._to,
                sent,
                reply.status,
                verdict.kind,
                verdict.accepted if part is None else None,
                text,
            )
            if part is None:
                act = partial(self._act, batch, cargo, verdict, answer)
                size, records = body.size, sent.records
                return self._untold.enter(lambda: replace(act(), sent=size, records=records))
            step = self._act_on_part(batch, cargo, part, verdict, answer)
        if part is not None and step.trip is not None and not step.answered:
            assert self._inside is not None  # noqa: S101 - the part is of it
            self._inside.put_back(part)
        return replace(step, sent=body.size, records=sent.records)

    def _begun(self, repeated: Batch | None, bounds: Bounds, key: str, sent: Totals) -> Batch:
        """The batch, durable, with an attempt that begins now."""
        attempt = Attempt(self._clock.wall_ms(), self._to, sent)
        if repeated is None:
            return self._ledger.open_batch(self.lane, bounds, key, attempt)
        return self._ledger.attempt(repeated.id, attempt)

    def _act(self, batch: Batch, cargo: Cargo, verdict: Verdict, answer: Answer) -> Step:
        kind = verdict.kind
        if kind is Kind.DELIVERED:
            self._ledger.settle(batch.id, answer, cargo.segments)
            self._refusals.taken()
            self._size.taken(answer.sent.raw_size)
            return Step(reached=True, answered=True)
        if kind not in (Kind.BISECT, Kind.SPLIT):
            return self._no_answer(batch, verdict, answer)
        if kind is Kind.SPLIT:
            self._size.too_large(answer.sent.raw_size)
        if answer.sent.records > 1:
            self._split(batch, cargo, answer)
            return self._after_refusal(answer, paused=self._refusals.paused)
        signal = STREAMS[self.lane.stream].signal
        if kind is Kind.SPLIT and signal is not None:
            inside = Inside(batch.id, batch.key, signal)
            if inside.split(self._hold.load(batch.bounds).line):
                self._ledger.answered(batch.id, answer, doubt=False)
                self._inside = inside
                return self._after_refusal(answer, paused=self._refusals.paused)
        return self._except(batch, cargo, answer)

    def _split(self, batch: Batch, cargo: Cargo, answer: Answer | None) -> None:
        """Put two halves in the place of a batch that was refused, or could not be sent whole."""
        halves = map(self._hold.load, cargo.halves())
        parts = [(half.bounds, half.key(self.lane), half.sent) for half in halves]
        self._ledger.split(batch.id, answer, parts)

    def _act_on_part(
        self, batch: Batch, cargo: Cargo, part: Part, verdict: Verdict, answer: Answer
    ) -> Step:
        inside = self._inside
        assert inside is not None  # noqa: S101 - the part is of it
        if verdict.kind is Kind.DELIVERED:
            inside.taken += part.records
            inside.lacking |= verdict.accepted is not None and verdict.accepted < part.records
            self._refusals.taken()
        elif verdict.kind not in (Kind.BISECT, Kind.SPLIT):
            return self._no_answer(batch, verdict, answer)
        elif not inside.split(cargo.line, part.place):
            inside.refused += part.records
            inside.why = answer
        step = Step(reached=verdict.kind is Kind.DELIVERED, answered=True)
        if inside.waiting:
            self._ledger.answered(batch.id, answer, doubt=False)
            return step
        self._inside = None
        last = replace(answer, sent=Totals(1, answer.sent.raw_size))
        if inside.why is not None:
            total = inside.refused + inside.taken
            text = f"{inside.refused} of {counted(total, 'record', 'records')} in it: {inside.why.text}"
            return replace(
                self._except(batch, cargo, last, replace(inside.why, text=text)),
                reached=step.reached,
            )
        if inside.lacking:
            last = replace(last, accepted=0)
        self._ledger.settle(batch.id, last, cargo.segments)
        return step

    def _except(
        self, batch: Batch, cargo: Cargo, answer: Answer, why: Answer | None = None
    ) -> Step:
        """Settle a batch of one line that is refused, for what ``why`` says (else ``answer``)."""
        why = why or answer
        assert why.status is not None  # noqa: S101 - an answer has one
        seq, line = batch.bounds.start
        refused = RecordException(seq, line, answer.at, why.verdict, why.status, why.text)
        self._ledger.settle(batch.id, answer, cargo.segments, [refused])
        paused = self._refusals.refused(self.lane, cargo.segments[0], line)
        return replace(self._after_refusal(why, paused=paused), refused=True)

    def _after_refusal(self, answer: Answer, *, paused: bool) -> Step:
        """The beacon is there; where it is not the records, each refusal is a failed probe."""
        if not paused:
            return Step(answered=True)
        reason = f"records are refused in a row with status {answer.status}, none is taken"
        return Step(answered=True, trip=(("route", self.route.path), reason, None))

    def _no_answer(self, batch: Batch, verdict: Verdict, answer: Answer) -> Step:
        """An answer that settles nothing: the batch stays, a circuit opens."""
        self._ledger.answered(batch.id, answer, doubt=verdict.outcome_unknown)
        scope = {
            Kind.PAUSE_LICENSE: ("license", self.lane.node),
            Kind.PAUSE_ROUTE: ("route", self.route.path),
            Kind.RETRY: ("route", self.route.path, "license", self.lane.node),
        }.get(verdict.kind, EVERYTHING)
        return Step(trip=(scope, verdict.reason, verdict.retry_after_s))
