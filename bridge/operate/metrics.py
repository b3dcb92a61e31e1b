"""The status as metrics in the Prometheus text format, version 0.0.4.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/. Everything is a gauge: it is read
from the spool at each request, and what the ledger counts may go down again (a replay).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from bridge.operate.status import Status
from spool.clock import MS
from spool.ledger import LaneCounts, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "airgap_bridge_"
_SUMS: Sequence[tuple[str, str, Callable[[LaneCounts], int]]] = (
    ("in_doubt_records", "Records that may have arrived more often.", lambda of: of.in_doubt),
    ("partial_records", "Records that the beacon's own count lacked.", lambda of: of.partial),
    (
        "lost_seen_segments",
        "Lost segments that a person has seen; the others are a problem.",
        lambda of: of.lost_seen,
    ),
    (
        "partial_seen_records",
        "Partial records that a person has seen; the others are a problem.",
        lambda of: of.partial_seen,
    ),
)
_EGRESS = ("up", "down", "paused", "idle", "offline")


def exposition(status: Status) -> bytes:
    """``status`` as a page of metrics."""
    return "".join(_lines(status)).encode()


def stalled() -> bytes:
    """What is known while the daemon's main thread hangs, without reading anything."""
    return "".join((*_health(healthy=False), *_problems(["daemon.stalled"]))).encode()


def _health(*, healthy: bool) -> Iterator[str]:
    yield from _metric("healthy", "1 when nothing needs a person.", [("", int(healthy))])


def _problems(ids: Iterable[str]) -> Iterator[str]:
    samples = [(_labels(id=name), 1) for name in sorted(set(ids))]
    yield from _metric("problem", "1 for each standing problem.", samples)


def _lines(status: Status) -> Iterator[str]:
    yield from _health(healthy=status.healthy)
    yield from _metric(
        "progresses",
        "0 when records wait, could leave, and nothing moves.",
        [("", int(status.progresses))],
    )
    yield from _problems(problem.id for problem in status.problems)
    state = status.egress.state if status.egress is not None else status.mode
    yield from _metric(
        "egress_state",
        "1 for the state that egress is in.",
        [(_labels(state=name), int(name == state)) for name in _EGRESS],
    )
    yield from _metric("spool_bytes", "Bytes that the spool holds.", [("", status.bytes_used)])
    yield from _metric("spool_max_bytes", "Bytes that it may hold.", [("", status.bytes_max)])
    yield from _metric(
        "spool_free_bytes", "Bytes that are free on its disk.", [("", status.bytes_free)]
    )
    yield from _of_lanes(status)
    token = [(_labels(state=status.token.state), int(status.token.served))]
    yield from _metric("license_served", "1 when the license token is served.", token)
    token_end = status.token.ends_at
    yield from _metric(
        "license_token_end_timestamp_seconds",
        "When the license token ends; absent: there is none.",
        [] if token_end is None else [("", token_end / MS)],
    )
    ends = {"spool_full": status.forecast.full_at, "first_drop": status.forecast.drop_at}
    for name, at in (*ends.items(), ("drained", status.forecast.drained_at)):
        samples = [] if at is None else [("", at / MS)]
        yield from _metric(
            f"forecast_{name}_timestamp_seconds", "At the present rates; absent: not.", samples
        )


def _of_lanes(status: Status) -> Iterator[str]:
    for what in ("records", "segments"):
        samples = [
            (
                _labels(node=lane.lane.node, stream=lane.lane.stream, state=str(state)),
                (lane.records if what == "records" else lane.segments)(state),
            )
            for lane in status.lanes
            for state in State
        ]
        yield from _metric(what, f"{what.capitalize()} by state, as the ledger counts.", samples)
    for name, text, of in _SUMS:
        sums = [
            (
                _labels(node=lane.lane.node, stream=lane.lane.stream),
                0 if lane.counts is None else of(lane.counts),
            )
            for lane in status.lanes
        ]
        yield from _metric(name, text, sums)
    oldest = [
        (
            _labels(node=lane.lane.node, stream=lane.lane.stream),
            max(status.at - lane.oldest_pending_at, 0) / MS,
        )
        for lane in status.lanes
        if lane.oldest_pending_at is not None
    ]
    yield from _metric("oldest_pending_seconds", "Age of what waits longest.", oldest)


def _metric(name: str, text: str, samples: Sequence[tuple[str, float]]) -> Iterator[str]:
    """One family; names of nodes, streams and problems need no escaping by their forms."""
    yield f"# HELP {_PREFIX}{name} {text}\n# TYPE {_PREFIX}{name} gauge\n"
    for labels, value in samples:
        yield f"{_PREFIX}{name}{labels} {value:.15g}\n"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{text}"' for name, text in labels.items()) + "}"
