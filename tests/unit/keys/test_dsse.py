"""An envelope is read strictly, or not at all; other implementations agree."""

import base64
from typing import Any

import orjson
import pytest
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from keys.dsse import pae, parse, seal
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError

KEY = SigningKey(b"\x01" * 32)
OTHER = SigningKey(b"\x02" * 32)
TRUSTED = {KEY.public.id: KEY.public}
KIND = "application/vnd.airgap-bridge.test.v1+json"
GOOD = seal(KIND, b'{"a":1}', [KEY])
LIMIT = 64 * 1024


def said(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(data)
    return found


def check(data: bytes) -> None:
    envelope = parse(data, limit=LIMIT)
    envelope.expect(KIND)
    envelope.verify(TRUSTED)


def error_of(data: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        check(data)
    return caught.value.id


def changed(**members: object) -> bytes:
    return orjson.dumps(said(GOOD) | members)


def signature_of(**members: object) -> bytes:
    (signature,) = said(GOOD)["signatures"]
    return changed(signatures=[signature | members])


def test_a_good_envelope_gives_its_payload_and_the_key_that_signed_it() -> None:
    envelope = parse(GOOD, limit=LIMIT)
    envelope.expect(KIND)
    assert envelope.payload == b'{"a":1}'
    assert envelope.verify(TRUSTED) == KEY.public


def test_of_two_signatures_each_is_on_what_the_envelope_holds() -> None:
    envelope = parse(seal(KIND, b'{"a":2}', [KEY, OTHER]), limit=LIMIT)
    assert (envelope.payload_type, envelope.payload) == (KIND, b'{"a":2}')
    for key, signature in zip((KEY.public, OTHER.public), envelope.signatures, strict=True):
        assert signature.keyid == key.id
        key.verify(signature.sig, pae(KIND, b'{"a":2}'))


def test_the_encoding_that_is_signed_is_that_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(changed(payload="eyJhIjoyfQ=="), "signature.bad", id="001-payload"),
        pytest.param(changed(payloadType=KIND + "x"), "envelope.type", id="002-type"),
        pytest.param(seal(KIND, b"{}", [OTHER]), "key.untrusted", id="006-untrusted"),
        pytest.param(signature_of(keyid=OTHER.public.id), "key.untrusted", id="006-keyid"),
        pytest.param(changed(signatures=[]), "document.field", id="007-none"),
        pytest.param(
            changed(signatures=[said(GOOD)["signatures"][0]] * 17),
            "document.field",
            id="008-seventeen",
        ),
        pytest.param(seal(KIND, b"{}", [KEY, KEY]), "envelope.signatures", id="010-twice"),
        pytest.param(
            signature_of(sig=base64.b64encode(b"x" * 63).decode()),
            "envelope.signatures",
            id="011-63",
        ),
        pytest.param(signature_of(sig=""), "envelope.signatures", id="011-empty"),
        pytest.param(
            GOOD.replace(b'{"payload"', b'{"payload":"","payload"'),
            "json.duplicate_key",
            id="014-duplicate",
        ),
        pytest.param(changed(extra=1), "document.unknown_key", id="015-extra"),
        pytest.param(signature_of(extra=1), "document.unknown_key", id="015-inner"),
        pytest.param(GOOD + b"\n", "json.trailing", id="trailing"),
        pytest.param(GOOD.replace(b"{", b"{ ", 1), "envelope.form", id="a-space"),
        pytest.param(
            orjson.dumps(dict(reversed(said(GOOD).items()))), "envelope.form", id="another-order"
        ),
        pytest.param(GOOD.replace(b"/vnd", b"\\/vnd", 1), "envelope.form", id="an-escape"),
        pytest.param(changed(payload="eyJhIjoxfQ"), "envelope.base64", id="unpadded"),
        pytest.param(changed(payload="eyJhIjoxfR=="), "envelope.base64", id="padding-bits"),
        pytest.param(changed(payload="eyJh\nIjoxfQ=="), "document.field", id="line-break"),
        pytest.param(changed(payload="eyJhIjoxf_=="), "document.field", id="url-alphabet"),
    ],
)
def test_attack_001_to_015_a_changed_envelope_is_refused(data: bytes, error: str) -> None:
    assert error_of(data) == error


def test_attack_017_an_envelope_over_its_limit_is_refused_whatever_is_in_it() -> None:
    for data in (seal(KIND, b"x" * 2 * 1024 * 1024, [KEY]), b"[" * 2 * 1024 * 1024):
        assert error_of(data) == "json.too_large"
    assert parse(GOOD, limit=len(GOOD)).verify(TRUSTED) == KEY.public
    with pytest.raises(VerificationError) as caught:
        parse(GOOD, limit=len(GOOD) - 1)
    assert caught.value.id == "json.too_large"


def test_attack_003_a_signature_on_one_kind_of_document_is_none_on_another() -> None:
    other = seal(KIND.replace("test", "receipt"), b'{"a":1}', [KEY])
    assert error_of(changed(signatures=said(other)["signatures"])) == "signature.bad"


def test_attack_004_a_right_signature_on_another_kind_is_refused() -> None:
    assert error_of(seal("application/other", b'{"a":1}', [KEY])) == "envelope.type"


def test_any_flipped_bit_of_an_envelope_is_refused_or_means_the_same() -> None:
    for bit in range(len(GOOD) * 8):
        flipped = bytearray(GOOD)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VerificationError):
            check(bytes(flipped))


def test_securesystemslib_verifies_our_envelope() -> None:
    theirs = OtherEnvelope.from_dict(said(GOOD))
    value = KEY.public.spki_der()[-32:].hex()
    key = SSlibKey(KEY.public.id, "ed25519", "ed25519", {"public": value})
    assert KEY.public.id in theirs.verify([key], 1)


def test_we_verify_an_envelope_of_securesystemslib() -> None:
    signer = CryptoSigner.generate_ed25519()
    theirs = OtherEnvelope(b'{"b":2}', KIND, {})
    theirs.sign(signer)
    document = theirs.to_dict()
    (entry,) = document["signatures"]
    public = PublicKey(bytes.fromhex(signer.public_key.keyval["public"]))
    # Key ids are each implementation's own; the signature is what has to agree.
    entry["keyid"] = public.id
    envelope = parse(orjson.dumps(document), limit=LIMIT)
    assert envelope.verify({public.id: public}) == public
