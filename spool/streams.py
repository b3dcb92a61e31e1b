"""The table of streams: all that the code knows of a telemetry type stands in its row.

Nothing else branches on a stream's name; a new type is a new row here and a route where it is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from keys.errors import shown
from spool.errors import RecordError
from spool.lines import Lines, plain_transactions_until, report_lines, transaction_lines
from spool.otlp import LOGS, METRICS, TRACES, Signal
from spool.secrets import SecretGuard

Kind = Literal["billing", "usage", "operational"]
"""What a stream is for, as the vendor tells them apart."""

_RANKS: Mapping[Kind, int] = {"billing": 0, "usage": 1, "operational": 2}


@dataclass(frozen=True, slots=True)
class Stream:
    """One row.

    ``rank`` orders sending, the lowest first. Where the disk is full, ``droppable`` streams give
    way in the order of ``drop_rank``, the lowest first; the others press back on producers.
    ``to_lines`` judges one record as a producer gives it and makes its lines, or raises
    :class:`RecordError`; ``plain_until`` says quickly where those records from an index on end that are
    their own lines, unless they hold a guarded value; what stands there may be its own as well. None of
    them may hold a raw line break, or be larger than 512 KiB. Every line begins with ``head`` and ends
    with ``tail``. ``signal`` knows what is inside a line that holds several OTLP records; None where a
    line is one document.
    """

    name: str
    kind: Kind
    rank: int
    droppable: bool
    drop_rank: int
    to_lines: Callable[[bytes, SecretGuard], Lines]
    plain_until: Callable[[Sequence[bytes], int], int]
    head: bytes
    tail: bytes
    signal: Signal | None = None


def _none_is_plain(_some: Sequence[bytes], begin: int) -> int:
    return begin


def _documents(
    name: str,
    kind: Kind,
    drop_rank: int,
    to_lines: Callable[[bytes, SecretGuard], Lines],
    plain_until: Callable[[Sequence[bytes], int], int] = _none_is_plain,
) -> Stream:
    return Stream(
        name,
        kind,
        _RANKS[kind],
        droppable=kind != "billing",
        drop_rank=drop_rank,
        to_lines=to_lines,
        plain_until=plain_until,
        head=b"{",
        tail=b"}",
    )


def _otlp(name: str, drop_rank: int, signal: Signal) -> Stream:
    return Stream(
        name,
        "operational",
        _RANKS["operational"],
        droppable=True,
        drop_rank=drop_rank,
        to_lines=signal.to_lines,
        plain_until=signal.plain_until,
        head=signal.head,
        tail=signal.tail,
        signal=signal,
    )


_ROWS = (
    _documents("transactions", "billing", 2, transaction_lines, plain_transactions_until),
    _documents("langgraph", "billing", 2, report_lines),
    _documents("snapshots", "usage", 1, report_lines),
    _otlp("logs", 1, LOGS),
    _otlp("metrics", 1, METRICS),
    _otlp("traces", 0, TRACES),
)

STREAMS: Mapping[str, Stream] = MappingProxyType({row.name: row for row in _ROWS})
"""Every stream by its name, in the order of the table."""


def stream_named(name: str) -> Stream:
    """The stream of that name. Raises :class:`RecordError` ``stream.unknown``."""
    try:
        return STREAMS[name]
    except KeyError:
        raise RecordError(
            "stream.unknown",
            f"There is no stream {shown(name)}.",
            f"Use one of: {', '.join(STREAMS)}.",
        ) from None
