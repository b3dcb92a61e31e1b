"""What needs a person, in sentences: of lanes, egress, room, intake and certificate.

Whoever calls knows the facts; nothing is read here but whether a lane is another node's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bridge.operate.certificate import WARN_MS
from bridge.operate.lanestatus import LaneStatus
from bridge.operate.problem import Problem
from bridge.terminal import counted
from spool.clock import rfc3339
from spool.egressfile import EgressState
from spool.lane import Lane
from spool.ledger import State
from spool.stalledfile import Stalled
from spool.troublefile import Trouble

_IN_A_ROW = "refused in a row"
"""In the reason, where a route refuses record after record."""


def of_lanes(found: Sequence[LaneStatus], licensed: Callable[[Lane], bool]) -> Iterator[Problem]:
    """Losses, refusals, lower counts; ``licensed`` tells whether a lane has a key to be sent with."""
    for lane in found:
        name = f"{lane.lane.node}/{lane.lane.stream}"
        lost, counts, stream = lane.lost_unseen, lane.counts, lane.lane.stream
        seen = 0 if counts is None else counts.lost_seen
        chosen = _choosing(lane, found)
        if lost and lane.lane.imported.exists():
            yield Problem(
                "spool.lost",
                f"Of {name} {counted(lost, 'segment was', 'segments were')} damaged here; "
                f"the next receipt asks for what is missing{_beside(seen)}.",
                f"Run bridge export --for {lane.lane.node} --to DIR; look at the disk's health. If it "
                f"never comes: bridge replay --state lost {chosen} --discard --note TEXT",
            )
        elif lost:
            yield Problem(
                "spool.lost",
                f"Of {name} {counted(lost, 'segment is', 'segments are')} lost; "
                f"loss records say which{_beside(seen)}.",
                f"Look at quarantine/ and at bridge inspect of the loss records of {name}. When it was "
                f"seen: bridge replay --state lost {chosen} --discard --note TEXT",
            )
        if counts is not None and counts.exceptions:
            yield Problem(
                "record.refused",
                f"The beacon refused {counted(counts.exceptions, 'record', 'records')} of {name}.",
                "See bridge audit; then run bridge replay --state quarantined to send them again, or "
                f"give them up: bridge replay --state quarantined {chosen} --discard --note TEXT",
            )
        if counts is not None and counts.partial > counts.partial_seen:
            less = counts.partial - counts.partial_seen
            yield Problem(
                "record.partial",
                f"Of {name} the beacon counted {counted(less, 'record', 'records')} less than it was "
                f"sent{_beside(counts.partial_seen)}.",
                "Where a relay delivered it as well, or its producer sent it twice, this is right; "
                "else compare with the vendor. When it was seen: "
                f"bridge replay --state delivered --stream {stream} --discard --note TEXT",
            )
        if not licensed(lane.lane) and lane.segments(State.PENDING):
            yield Problem(
                "license.missing",
                f"There is no license key for node {lane.lane.node}; {name} waits.",
                f"Put it into a file of mode 0600, and into bridge.yaml: {_licensing(lane.lane)}",
            )


def _choosing(lane: LaneStatus, found: Sequence[LaneStatus]) -> str:
    """The option that chooses what is lost of ``lane``, and of no other node's."""
    node, stream = lane.lane.node, lane.lane.stream
    if lane.counts is None or all(each is lane or each.lane.stream != stream for each in found):
        return f"--stream {stream}"
    return f"--segments {node}/{stream}/1-{lane.counts.head}"


def _beside(seen: int) -> str:
    """What a person has seen already is not counted above."""
    return f", beside {seen} that were seen" if seen else ""


def _licensing(lane: Lane) -> str:
    """The line of the configuration that names a lane's license key."""
    return (
        f"licenses: {{{lane.node}: [FILE]}}" if lane.imported.exists() else "license_key_file: FILE"
    )


def of_egress(egress: EgressState, *, runs: bool) -> Iterator[Problem]:
    """What the daemon said last of what it cannot send; ``runs``: it is there still."""
    for failed in egress.failed:
        yield Problem.of(failed)
    if "upstream.loop" in egress.reason:
        yield Problem(
            "upstream.loop",
            "The beacon's name leads back to this bridge; nothing leaves, and nothing was dropped.",
            "Set beacon.addresses to the beacon's own addresses, or mend the name for this machine.",
        )
    elif "wants a login" in egress.reason:
        yield Problem(
            "proxy.login",
            "The proxy before the beacon wants a login; nothing leaves, and nothing was dropped.",
            "Write it into beacon.proxy, or let the proxy allow this machine; it is tried again.",
        )
    elif egress.state == "paused" and not egress.reason.startswith("window"):
        said = "refuses" if runs else "refused, when it was last asked,"
        again = "it is tried again" if runs else "it is tried again by the next bridge run"
        yield Problem(
            "egress.paused",
            f"The beacon {said} the license or a route ({egress.reason}); nothing was dropped.",
            "Look at bridge audit for its answer; if the records are wrong, run bridge replay: "
            "a thousand refused ones are set aside, and what is behind them goes."
            if _IN_A_ROW in egress.reason
            else f"Look at bridge audit for its answer, and at the license key; {again}.",
        )


def stalled(found: Stalled) -> Problem:
    """A part of the daemon lives and does nothing."""
    return Problem(
        "daemon.stalled",
        f"The daemon's {found.part} does nothing any more; that is known since {found.since}.",
        "Look whether a disk or a network file system hangs; then restart the daemon.",
    )


def full(*, told: bool) -> Problem:
    """No room; not ``told``: none for the ledger either."""
    uncounted = "" if told else " What was sealed last is not counted here."
    return Problem(
        "spool.full",
        "The spool has no room left: nothing is taken, and producers are told to come again."
        + uncounted,
        "Have it delivered or exported, raise spool.max_size, or free the disk beyond spool.min_free.",
    )


READ_ONLY = Problem(
    "spool.read_only",
    "The spool may not be written from here: it was only read, and nothing can be taken, sealed or "
    "sent from this mount.",
    "For a copy or a mount that is meant to be read this is right. Else look at the kernel log, repair "
    "the disk, mount it for writing, and run as the user who owns the spool.",
)
"""The spool was looked at where it may not be written."""


def filling(refused: Sequence[str]) -> Problem:
    """So little room that some kinds of records are refused."""
    return Problem(
        "spool.filling",
        f"The spool is nearly full: {' and '.join(refused)} records are told to come again; billing is "
        "taken as long as there is room.",
        "Have it delivered or exported, raise spool.max_size, or free the disk beyond spool.min_free.",
    )


def open_intake(where: str) -> Problem:
    """Telemetry is taken from other machines without a license key."""
    return Problem(
        "intake.open",
        f"The intake on {where} takes telemetry without a license key from any machine.",
        "Set intake.require_license to auto or true, or listen on a loopback address.",
    )


def of_couriers(troubles: Mapping[str, Trouble | None]) -> Iterator[Problem]:
    """A courier's folder, inbox or outbox, that is of no use to the daemon."""
    for folder, trouble in troubles.items():
        if trouble is not None:
            message = f"The {folder} is of no use to the daemon: {trouble.message}"
            yield Problem(trouble.id, message, trouble.hint)


def of_gone_file(trouble: Trouble | None) -> Iterator[Problem]:
    """A file that was moved or removed while the intake wrote it."""
    if trouble is not None:
        yield Problem(trouble.id, trouble.message, trouble.hint)


def of_certificate(end: int | None, refused: Trouble | None, at: int) -> Iterator[Problem]:
    """The intake's: it ends at ``end`` (ms), None where nobody can tell; ``refused``: the next one."""
    if refused is not None:
        yield Problem(refused.id, refused.message, refused.hint)
    if end is not None and at >= end:
        yield Problem(
            "tls.expired",
            f"The intake's certificate ended at {rfc3339(end)}; producers do not connect any more.",
            "Make a new one: bridge init --tls --renew, see docs/operations.md.",
        )
    elif end is not None and at >= end - WARN_MS:
        yield Problem(
            "tls.expiring",
            f"The intake's certificate ends at {rfc3339(end)}.",
            "Make a new one: bridge init --tls --renew, see docs/operations.md.",
        )
