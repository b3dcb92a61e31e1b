"""The states of a license token here: one table, in order of precedence.

``docs/license.md`` shows the same table; a test compares the two. People are shown one of three words
first, and then what the state means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """How things stand with a node's license token."""

    NONE = "NONE"
    TAMPERED = "TAMPERED"
    DENIED = "DENIED"
    CLOCK_ROLLBACK = "CLOCK_ROLLBACK"
    NOT_YET_VALID = "NOT_YET_VALID"
    GRACE = "GRACE"
    EXPIRED = "EXPIRED"
    UNVERIFIABLE = "UNVERIFIABLE"
    EXPIRING = "EXPIRING"
    VALID = "VALID"


class Word(StrEnum):
    """What people are shown first."""

    SERVED = "served"
    NOT_SERVED = "not served"
    NEEDS_YOU = "needs you"


class Answer(StrEnum):
    """What the intake answers where the beacon cannot be asked."""

    SERVED = "200, the token"
    SERVED_IF_GOT_HERE = "200, the token, if no key is pinned and it came from the beacon; else 503"
    REFUSAL = "403, as the beacon did"
    LATER = "503, ask again"


@dataclass(frozen=True, slots=True)
class Row:
    """``exit_code`` is that of ``license status``; ``hint`` is empty where nothing is to be done."""

    meaning: str
    answer: Answer
    word: Word
    exit_code: int
    hint: str


_REFRESH = "Online: bridge license refresh; offline: bring a new token, then bridge license import."

TABLE: Mapping[State, Row] = MappingProxyType(
    {
        State.NONE: Row(
            "no token is kept for this license",
            Answer.LATER,
            Word.NOT_SERVED,
            8,
            _REFRESH,
        ),
        State.TAMPERED: Row(
            "what is kept is not what this bridge kept, or not what the vendor signs",
            Answer.LATER,
            Word.NEEDS_YOU,
            4,
            "Was license.* changed, or did somebody write to the spool's license folder? Then bridge"
            " license refresh or import.",
        ),
        State.DENIED: Row(
            "the beacon was asked, and refused the license",
            Answer.REFUSAL,
            Word.NEEDS_YOU,
            7,
            "Compare the license key with the vendor's, then bridge license refresh.",
        ),
        State.CLOCK_ROLLBACK: Row(
            "the clock shows a time before one that was seen already",
            Answer.LATER,
            Word.NEEDS_YOU,
            8,
            "Set the clock right; if it is right, bring a new token: bridge license refresh or import.",
        ),
        State.NOT_YET_VALID: Row(
            "the token begins later than the clock shows",
            Answer.LATER,
            Word.NEEDS_YOU,
            8,
            "Compare the clock with a right one; bridge doctor looks at it too.",
        ),
        State.GRACE: Row(
            "the token has ended, less than license.grace ago; nothing is served any more",
            Answer.LATER,
            Word.NEEDS_YOU,
            8,
            _REFRESH,
        ),
        State.EXPIRED: Row(
            "the token has ended",
            Answer.LATER,
            Word.NEEDS_YOU,
            8,
            _REFRESH,
        ),
        State.UNVERIFIABLE: Row(
            "no pinned key can verify the token",
            Answer.SERVED_IF_GOT_HERE,
            Word.SERVED,
            0,
            "Have the vendor's public keys in license.jwks_file, and its tokens can be verified here.",
        ),
        State.EXPIRING: Row(
            "the token ends soon, and a new one could not be had",
            Answer.SERVED,
            Word.NEEDS_YOU,
            0,
            _REFRESH,
        ),
        State.VALID: Row(
            "the vendor signed it, and it has not ended",
            Answer.SERVED,
            Word.SERVED,
            0,
            "",
        ),
    }
)
"""The first one that applies is the state."""


def serves(state: State, *, got_here: bool) -> bool:
    """Whether the intake hands the token out; ``got_here`` as in :class:`Answer`."""
    answer = TABLE[state].answer
    return answer is Answer.SERVED or (answer is Answer.SERVED_IF_GOT_HERE and got_here)


def markdown() -> str:
    """The table as it stands in the docs."""
    lines = [
        "| | state | means | without the beacon, the intake answers | people see | exit code |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rank} | {state} | {row.meaning} | {row.answer} | {row.word} | {row.exit_code} |"
        for rank, (state, row) in enumerate(TABLE.items(), 1)
    ]
    return "\n".join(lines) + "\n"
