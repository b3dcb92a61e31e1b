"""The rule of ``--discard``: billing is given up, or its loss called seen, only where it was named."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spool.errors import RecordError
from spool.streams import STREAMS

if TYPE_CHECKING:
    from bridge.egress.selection import Wanted


def is_named(wanted: "Wanted") -> bool:
    """Whether somebody chose streams or segments, not only a state or a time."""
    return wanted.streams is not None or wanted.segments is not None


def is_billing(stream: str) -> bool:
    """Whether records of ``stream`` are billing; those of an unknown one may be."""
    row = STREAMS.get(stream)
    return row is None or row.kind == "billing"


def unnamed(stream: str, told: Sequence[str]) -> RecordError:
    """The error for billing, ``stream`` first of it, that is among what was chosen without its name."""
    return RecordError(
        "replay.billing",
        f"Billing is among it, and was not named: {'; '.join(told)}. Nothing was entered.",
        f"Say so of each stream by itself: add --stream {stream}, or another stream.",
    )
