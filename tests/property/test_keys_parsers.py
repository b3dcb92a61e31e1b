"""Whatever the bytes are: our error, or a value."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from keys.dsse import parse, seal
from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from keys.strictjson import loads
from keys.trustedkey import parse as parse_trust

KEY = SigningKey(b"\x05" * 32)
GOOD = seal("application/x-test", b"{}", [KEY])
TEXTS = st.binary() | st.text().map(str.encode) | st.from_regex(rb'[\[{"\\ud8\d,:}\]]*')


@given(TEXTS)
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    with suppress(VerificationError):
        loads(data, limit=1024)
    with suppress(VerificationError):
        parse(data, limit=1024)
    with suppress(VerificationError):
        parse_trust(data)


@given(st.integers(0, len(GOOD)), st.binary(max_size=8), st.integers(0, 8))
def test_an_envelope_that_was_cut_or_mended_never_verifies(at: int, new: bytes, gone: int) -> None:
    data = GOOD[:at] + new + GOOD[at + gone :]
    if data == GOOD:
        return
    with suppress(VerificationError):
        parse(data, limit=4096).verify({KEY.public.id: KEY.public})
        raise AssertionError(data)
