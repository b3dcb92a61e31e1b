"""The states of a segment, and the one table of legal moves between them.

Nothing else in the code knows which move is legal or who may make it; an unlisted move is an error
that names both states. The picture in ``docs/states.md`` is :func:`mermaid`, made from the table.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from spool.errors import SpoolError


class LedgerError(SpoolError):
    """What was asked does not fit what the ledger says; nothing was changed."""


class State(StrEnum):
    """Where a segment stands."""

    PENDING = "pending"
    EXPORTED = "exported"
    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    LOST = "lost"


class By(StrEnum):
    """Who makes a move."""

    ANSWER = "answer"
    """An answer of the beacon to a request."""
    RECEIPT = "receipt"
    """A receipt of the relay."""
    EXPORT = "export"
    """A bundle that was written, or is to be written again."""
    REPLAY = "replay"
    """A person who wants it sent again."""
    GIVE_BACK = "give_back"
    """A route that refused so much in a row that it cannot be the records."""
    LOSS = "loss"
    """A declared loss: damage, no room, or a person who gives it up."""


_S, _B = State, By
MOVES: Mapping[tuple[State, State], frozenset[By]] = MappingProxyType(
    {
        (_S.PENDING, _S.DELIVERED): frozenset({_B.ANSWER, _B.RECEIPT}),
        (_S.PENDING, _S.EXPORTED): frozenset({_B.EXPORT}),
        (_S.PENDING, _S.QUARANTINED): frozenset({_B.ANSWER, _B.RECEIPT}),
        (_S.PENDING, _S.LOST): frozenset({_B.LOSS}),
        # By an answer too: a request may be under way while a bundle is written.
        (_S.EXPORTED, _S.DELIVERED): frozenset({_B.ANSWER, _B.RECEIPT}),
        (_S.EXPORTED, _S.PENDING): frozenset({_B.EXPORT, _B.REPLAY}),
        (_S.EXPORTED, _S.QUARANTINED): frozenset({_B.ANSWER, _B.RECEIPT}),
        (_S.EXPORTED, _S.LOST): frozenset({_B.LOSS}),
        # By giving back: of the segment a few lines alone, which were refused.
        (_S.DELIVERED, _S.PENDING): frozenset({_B.REPLAY, _B.GIVE_BACK}),
        (_S.QUARANTINED, _S.PENDING): frozenset({_B.REPLAY}),
        (_S.QUARANTINED, _S.LOST): frozenset({_B.LOSS}),
        # Its file was found again, whole: somebody put it back from a copy.
        (_S.LOST, _S.PENDING): frozenset({_B.REPLAY}),
        # Declared lost here, and yet it had arrived: the late news is the better one.
        (_S.LOST, _S.DELIVERED): frozenset({_B.ANSWER, _B.RECEIPT}),
    }
)
"""Every legal move, and who may make it."""


def may_move(source: State, target: State, by: By) -> bool:
    """Whether ``by`` may move a segment from ``source`` to ``target``."""
    return by in MOVES.get((source, target), frozenset())


def check_move(source: State, target: State, by: By) -> None:
    """Nothing, if the move is in the table; else :class:`LedgerError` ``ledger.illegal_move``."""
    if may_move(source, target, by):
        return
    allowed = MOVES.get((source, target))
    who = f"only by {' or '.join(sorted(allowed))}" if allowed else "by nobody"
    raise LedgerError(
        "ledger.illegal_move",
        f"A segment cannot go from {source} to {target} by {by} ({who}).",
        "This is a fault of the program; report it with this message.",
    )


def mermaid() -> str:
    """The table as a mermaid state diagram, one line a move, with a line end."""
    lines = ["stateDiagram-v2", "    [*] --> pending: sealed"]
    for (source, target), who in MOVES.items():
        lines.append(f"    {source} --> {target}: {', '.join(sorted(who))}")
    return "\n".join(lines) + "\n"
