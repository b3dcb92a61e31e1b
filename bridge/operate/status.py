"""How things stand: one answer, for people, for scripts, and later for a page.

Everything is read from the spool, so it is true whether the daemon runs or not: the ledger's counts,
what the daemon said of egress last, whether somebody holds the sender's lock. Healthy means that
nothing needs a person; an outage with room in the spool is healthy.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.operate.certificate import ends_at
from bridge.operate.crossing import Gaps, crossing
from bridge.operate.flow import SENT_OVER_MS, sent_per_s
from bridge.operate.forecast import Forecast, Rates, forecast
from bridge.operate.lanestatus import LaneStatus, lane_status
from bridge.operate.licensed import NO_TOKEN, TokenSaid
from bridge.operate.overdue import overdue as heartbeats_overdue
from bridge.operate.problem import Problem
from bridge.operate.problems import (
    READ_ONLY,
    full,
    of_certificate,
    of_couriers,
    of_egress,
    of_gone_file,
    of_lanes,
    open_intake,
    stalled,
)
from bridge.operate.progress import Backlog, no_progress
from bridge.operate.silence import silence, silent_since
from spool.clock import parse_rfc3339
from spool.discovery import discover, untold
from spool.egressfile import FLOWING, EgressState, read_egress_state
from spool.errors import RecordError, SpoolError
from spool.intakefile import IntakeSaid, read_intake
from spool.lane import Lane, lanes
from spool.ledger import LaneCounts, Ledger, State
from spool.ledger_activity import Activity
from spool.rebuiltfile import Rebuilt, read_rebuilt
from spool.sender_lock import Holder, read_holder
from spool.stalledfile import read_stalled
from spool.troublefile import read_trouble
from spool.usage import Usage, held_by


@dataclass(frozen=True, slots=True)
class Status:
    """How things stood at one moment (``at``, ms since 1970 UTC); sizes in bytes.

    ``intake`` is what the daemon counted last, None if none ever did. ``rebuilt`` tells of ledgers
    that were lost and made anew, oldest first, for as long as their audit would have been kept.
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
    rates: Rates
    forecast: Forecast
    problems: Sequence[Problem]
    token: TokenSaid = NO_TOKEN
    rebuilt: Sequence[Rebuilt] = ()

    @property
    def progresses(self) -> bool:
        """Whether what waits moves, or has a reason not to."""
        return all(problem.id != "egress.no_progress" for problem in self.problems)

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


def look(  # noqa: PLR0913 - one fact each
    spool: Path,
    ledger: Ledger,
    *,
    node: str,
    mode: str,
    bytes_max: int,
    usage: Usage,
    at: int,
    licensed: Callable[[Lane], bool],
    silent_after: int,
    expected: Callable[[str], bool],
    gaps: Gaps,
    audit_kept: int,
    open_at: str | None = None,
    certificate: Path | None = None,
    courier: Sequence[str] = (),
    min_free: int = 0,
    online_key: bool | None = None,
    relays: bool = False,
    overdue: int | None = None,
    tokens: Sequence[TokenSaid] = (NO_TOKEN,),
    rate: int | None = None,
) -> Status:
    """How things stand in ``spool``; ``licensed`` tells whether a lane has a key to be sent with.

    ``usage`` remembers from one look to the next how much the spool holds, which may be at most
    ``bytes_max``; ``min_free`` bytes are to stay free on the disk. ``online_key`` says whether this
    node's license key has the form of an online one, None without a key; ``relays``, that it is there
    for other nodes.

    ``open_at`` is where the intake takes telemetry from other machines without a license key, None
    where it does not. ``certificate`` is the file of the intake's, None without TLS. ``tokens`` is how
    things stand with the license tokens: this node's, and then those of nodes whose key it holds.
    ``courier`` names the courier's folders that the daemon uses: inbox, outbox.

    ``overdue`` ms after an export a receipt is missed; None: none is expected. Nothing new of another
    node for ``silent_after`` ms is too long, if it is ``expected`` to send at all.

    Audit rows are kept for ``audit_kept`` ms. At most ``rate`` bytes a second are sent, if given.

    What was sealed and not yet told to the ledger is told now, if there is room for it; where the spool
    may not be written it is counted all the same. Raises
    :class:`SpoolError` or :class:`OSError`.
    """
    told = not ledger.writable or _tell_new(spool, ledger)
    counted = _counted(spool, ledger)
    found = [lane_status(lane, counted.get((lane.node, lane.stream)), at) for lane in lanes(spool)]
    holder, egress = read_holder(spool), read_egress_state(spool)
    said, free = read_intake(spool), shutil.disk_usage(spool).free
    used = held_by(spool, usage)
    # Ledger, quarantine and whatever else lies there: nothing of it gives way.
    beside = max(used - sum(usage.bytes_below(lane.folder) for lane in lanes(spool)), 0)
    begun = None if holder is None else _moment(holder.since)
    up_since = _moment(egress.since) if egress is not None and egress.state in FLOWING else None
    activity = ledger.activity(at - SENT_OVER_MS)
    rates = _rates(found, activity, None if begun is None else up_since, at)
    whole = min(bytes_max, used + free - min_free)
    can_send = licensed if mode == "online" else lambda _: True
    problems = [
        *of_lanes(found, can_send),
        *([] if egress is None else of_egress(egress, runs=holder is not None)),
        *([] if ledger.writable else [READ_ONLY]),
        *([] if told and used < whole else [full(told=told)]),
        *([] if open_at is None else [open_intake(open_at)]),
        *(problem for token in tokens for problem in token.problems()),
        *crossing(ledger, list(lanes(spool)), at, overdue, gaps),
        *heartbeats_overdue(
            [lane for lane in lanes(spool) if expected(lane.node)], at, silent_after
        ),
        *(
            []
            if certificate is None
            else of_certificate(ends_at(certificate), read_trouble(spool, "tls"), at)
        ),
    ]
    if begun is not None:
        problems += of_gone_file(read_trouble(spool, "writers"))
        problems += of_couriers({folder: read_trouble(spool, folder) for folder in courier})
    if begun is not None and (hangs := read_stalled(spool)) is not None:
        problems.insert(0, stalled(hangs))
    if begun is not None and mode == "online":
        problems += _stuck(found, egress, activity, (begun, at), can_send, rate)
    since = None if begun is None else silent_since(spool, node, begun, at, relays=relays)
    if since is not None:
        problems.append(silence(since, at, said, online_key=online_key))
    return Status(
        node=node,
        at=at,
        mode=mode,
        holder=holder,
        egress=egress,
        intake=said,
        bytes_used=used,
        bytes_max=bytes_max,
        bytes_free=free,
        lanes=found,
        rates=rates,
        forecast=forecast(
            at,
            rates,
            pending=sum(lane.bytes_pending for lane in found),
            room=whole - beside - sum(lane.bytes_held for lane in found),
            droppable=any(lane.droppable for lane in found),
        ),
        problems=problems,
        token=tokens[0],
        rebuilt=_rebuilt(spool, at - audit_kept),
    )


def _rebuilt(spool: Path, since: int) -> list[Rebuilt]:
    return [said for said in read_rebuilt(spool) if (_moment(said.at) or 0) >= since]


def _moment(since: str) -> int | None:
    try:
        return parse_rfc3339(since)
    except RecordError:  # between the lock and the words of whoever took it
        return None


def _rates(found: Sequence[LaneStatus], activity: Activity, up_since: int | None, at: int) -> Rates:
    """What comes, and what leaves: nothing does unless a daemon runs and egress is up."""
    raw = [lane.taken.raw_per_s for lane in found if lane.taken.raw_per_s is not None]
    stored = [lane.taken.stored_per_s for lane in found if lane.taken.stored_per_s is not None]
    sent = None if up_since is None else sent_per_s(activity, up_since, at)
    return Rates(sum(raw) if raw else None, sum(stored) if stored else None, sent)


def _stuck(
    found: Sequence[LaneStatus],
    egress: EgressState | None,
    activity: Activity,
    running: tuple[int, int],
    licensed: Callable[[Lane], bool],
    rate: int | None,
) -> Iterator[Problem]:
    """Backlog without progress, of lanes for which nothing else says why they wait.

    ``running``: since when the daemon does, and now.
    """
    begun, at = running
    if egress is None:
        return
    failed = {(each.node, each.stream) for each in egress.failed}
    waiting = [
        lane
        for lane in found
        if lane.records(State.PENDING)
        and lane.oldest_pending_at is not None
        and licensed(lane.lane)
        and (lane.lane.node, lane.lane.stream) not in failed
    ]
    if not waiting:
        return
    backlog = Backlog(
        sum(lane.records(State.PENDING) for lane in waiting),
        min(lane.oldest_pending_at or at for lane in waiting),
    )
    since = max(begun, _moment(egress.since) or begun)
    problem = no_progress(at, backlog, activity, state=egress.state, since=since, rate=rate)
    if problem is not None:
        yield problem


def _counted(spool: Path, ledger: Ledger) -> Mapping[tuple[str, str], LaneCounts]:
    """By node and stream; also what was sealed since, where the ledger may not be told of it."""
    found = {(counts.node, counts.stream): counts for counts in ledger.counts()}
    if ledger.writable:
        return found
    for lane in lanes(spool):
        name = lane.node, lane.stream
        if new := untold(ledger, lane):
            found[name] = found.get(name, LaneCounts.none(*name)).and_pending(new)
    return found


def _tell_new(spool: Path, ledger: Ledger) -> bool:
    """Tell the ledger what is new; whether it had room for that. A full disk is to be seen here."""
    try:
        for lane in lanes(spool):
            discover(ledger, lane)
    except SpoolError as error:
        if error.id != "ledger.full":
            raise
        return False
    return True
