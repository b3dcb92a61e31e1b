"""A statement means the same whether it is taken apart in one step or member by member."""

from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keys.dsse import parse, seal
from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.plainstatement import taken_apart
from spool.statement import Statement, decode
from tests.golden.build import LINES, compact, frame, statement

KEY = SigningKey(b"\x05" * 32)
GOOD = compact(statement(frame(LINES), LINES))
TYPE = "application/x-test"
ENVELOPE = seal(TYPE, GOOD, [KEY])
PIECES = st.sampled_from(
    [
        b"0", b"00", b"-1", b"1.0", b"1e3", b"9" * 15, b"9" * 16, b"9007199254740992", b"null",
        b"true", b'"', b'\\"', b"\\u0061", b" ", b"\n", b"\xff", "é".encode(), b"\xd9\xa1", b",",
        b'"of":1,', b"}", b"{", b"Z", b"T24", b"2026-02-30", b"1969-12-31", b"heartbeat", b"age",
        b"quarantine", b"transactions", b"f" * 64, b"0" * 64,
    ]
)  # fmt: skip


def outcome(payload: bytes) -> Statement | tuple[str, str]:
    try:
        return decode(payload)
    except VerificationError as error:
        return error.id, error.message


def spaced(payload: bytes) -> bytes:
    """The same document with a space where one may stand, so that it is read member by member."""
    return payload.replace(b'{"v":', b'{"v": ', 1)


def test_a_statement_as_it_is_written_is_taken_apart_in_one_step() -> None:
    assert taken_apart(GOOD) is not None
    assert taken_apart(spaced(GOOD)) is None
    assert decode(GOOD) == decode(spaced(GOOD))


@given(
    st.integers(6, len(GOOD)),
    st.binary(max_size=3) | PIECES | st.integers().map(lambda n: b"%d" % n),
    st.integers(0, 70),
)
@example(GOOD.index(b'"seq":') + 6, b"999999999999", 1)
@example(GOOD.index(b'"seq":') + 6, b"1000000000000", 1)
@example(GOOD.index(b'"first_at":"') + 12, b"2026-02-30T09:00:00.000Z", 24)
@example(GOOD.index(b'"first_at":"') + 12, b"2099-02-28T09:00:00.000Z", 24)
@example(GOOD.index(b'"size":') + 7, b"00", 1)
@example(GOOD.index(b'"size":') + 7, b"-1", 1)
@example(len(GOOD), b"\n", 0)
def test_whatever_is_changed_in_it_both_ways_say_the_same(at: int, new: bytes, gone: int) -> None:
    payload = GOOD[:at] + new + GOOD[at + gone :]
    assert outcome(payload) == outcome(spaced(payload))


@given(st.integers(0, len(ENVELOPE)), st.binary(max_size=3) | PIECES, st.integers(0, 3))
@example(ENVELOPE.index(b'=="}') - 1, b"h", 1)
@example(len(ENVELOPE), b"\n", 0)
def test_an_envelope_is_read_only_if_its_bytes_are_those_that_are_written_for_what_it_says(
    at: int, new: bytes, gone: int
) -> None:
    data = ENVELOPE[:at] + new + ENVELOPE[at + gone :]
    try:
        found = parse(data, limit=len(data))
    except VerificationError:
        return
    (signature,) = found.signatures
    text = b'{"payload":"%b","payloadType":"%b","signatures":[{"keyid":"%b","sig":"%b"}]}'
    assert data == text % (
        b64encode(found.payload),
        found.payload_type.encode(),
        signature.keyid.encode(),
        b64encode(signature.sig),
    )


def test_an_envelope_of_one_byte_more_than_the_limit_is_refused() -> None:
    assert parse(ENVELOPE, limit=len(ENVELOPE)).payload == GOOD
    with pytest.raises(VerificationError) as caught:
        parse(ENVELOPE, limit=len(ENVELOPE) - 1)
    assert caught.value.id == "json.too_large"
