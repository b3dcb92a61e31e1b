"""What we write we read again, and where others read the same bytes, they read the same."""

import base64
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from keys.dsse import parse, seal
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import ConfigError, VerificationError
from keys.keyfile import read_public_key, read_signing_key
from keys.strictjson import INTEGER_MAX, loads
from keys.trustedkey import TrustedKey, encode
from keys.trustedkey import parse as parse_trust

KEY = SigningKey(b"\x06" * 32)
PRIVATE_DER = base64.b64decode(KEY.pem().split(b"-----")[2])
LIMIT = 1024 * 1024
SEEDS = st.binary(min_size=32, max_size=32)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WORDS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"b"', b'"\\u0061"', b'"\\ud83d\\ude00"'),
    *(b'"\\ud800"', b"0", b"-0", b"1", b"1.0", b"1e3", b"9007199254740992", b"null", b" "),
    *(b"true", b"NaN", b"-Infinity", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\n"),
)
TOKENS = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, dict | list)) + max(map(depth, inner), default=0)


@given(VALUES)
def test_what_a_common_writer_writes_is_read_as_it_was(value: object) -> None:
    if depth(value) <= 16:
        assert loads(orjson.dumps(value), limit=LIMIT) == value


@given(TOKENS)
def test_what_is_taken_others_read_the_same(data: bytes) -> None:
    with suppress(VerificationError):
        value = loads(data, limit=LIMIT)
        assert value == json.loads(data) == orjson.loads(data)


@given(
    st.binary(max_size=300),
    st.from_regex(r"[a-z0-9.+/-]{1,128}", fullmatch=True),
    st.lists(SEEDS, min_size=1, max_size=2),
)
def test_an_envelope_gives_back_what_was_sealed(
    payload: bytes, kind: str, seeds: list[bytes]
) -> None:
    signers = [SigningKey(seed) for seed in seeds]
    envelope = parse(seal(kind, payload, signers), limit=LIMIT)
    envelope.expect(kind)
    assert envelope.payload == payload
    assert [signature.keyid for signature in envelope.signatures] == [
        signer.public.id for signer in signers
    ]
    if len(signers) == 1:
        assert envelope.verify({signers[0].public.id: signers[0].public}) == signers[0].public


@given(st.dictionaries(SEEDS, st.tuples(st.sampled_from(["node", "relay"]), NAMES), max_size=4))
def test_a_trust_store_gives_back_what_was_stored(entries: dict[bytes, tuple[str, str]]) -> None:
    keys = tuple(
        TrustedKey(role, name, SigningKey(seed).public) for seed, (role, name) in entries.items()
    )
    assert parse_trust(encode(keys)) == keys


def block(label: bytes, der: bytes) -> bytes:
    text = base64.b64encode(der)
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, text, label)


def mended(der: bytes) -> st.SearchStrategy[bytes]:
    """``der`` with a few of its bytes replaced, and perhaps cut."""
    places = st.dictionaries(st.integers(0, len(der) - 1), st.integers(0, 255), max_size=3)
    return st.builds(
        lambda new, size: bytes(new.get(at, byte) for at, byte in enumerate(der))[:size],
        places,
        st.integers(0, len(der)) | st.just(len(der)),
    )


@given(
    st.binary()
    | mended(PRIVATE_DER).map(lambda der: block(b"PRIVATE KEY", der))
    | mended(KEY.public.spki_der()).map(lambda der: block(b"PUBLIC KEY", der))
)
def test_any_bytes_of_a_key_file_are_that_one_key_or_refused(data: bytes) -> None:
    with suppress(VerificationError):
        assert SigningKey.from_pem(data).pem().rstrip() == data.rstrip()
    with suppress(VerificationError):
        assert PublicKey.from_pem(data).pem().rstrip() == data.rstrip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.pem"
        path.write_bytes(data)
        path.chmod(0o600)
        with suppress(ConfigError):
            read_signing_key(path)
        with suppress(ConfigError):
            read_public_key(path)
