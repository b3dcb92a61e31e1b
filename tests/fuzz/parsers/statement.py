"""The statement in a seal, as if its signature were good."""

import json

from keys.errors import VerificationError
from spool import statement
from tests.fuzz.harness import Harness
from tests.golden.bad_statements import bad_statements
from tests.golden.build import compact
from tests.golden.good import good


def tried(data: bytes) -> bool:
    """Read, written, and read again; and what Python's own parser reads."""
    try:
        said = statement.decode(data)
    except VerificationError:
        return False
    again = statement.encode(said)
    assert statement.decode(again) == said
    assert json.loads(again) == json.loads(data)
    assert 0 <= said.before.records <= said.after.records
    return True


def seeds() -> list[bytes]:
    """What the golden files say."""
    bad = [payload for *_, payload in bad_statements()]
    return [*(compact(each.said) for each in good()), *(each for each in bad if len(each) < 4096)]


HARNESS = Harness(
    "statement",
    "A statement reads as any JSON parser reads it, and written again says the same, or is refused.",
    tried,
    seeds,
    (
        b'"seq":',
        b'"follows":',
        b'"lost":',
        b'"of":',
        b"null",
        b"true",
        b"1e3",
        b"\\u0061",
        b"{",
        b"}",
    ),
    rounds=15000,
)
