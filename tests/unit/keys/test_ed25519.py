"""Keys sign and verify as RFC 8032 says, and as openssl does."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from keys.dsse import pae
from keys.ed25519 import FIELD_PRIME, PublicKey, SigningKey
from keys.errors import VerificationError

# RFC 8032, section 7.1: secret, public, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
TORSION_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_rfc_8032(
    secret: str, public: str, message: str, signature: str
) -> None:
    key = SigningKey(bytes.fromhex(secret))
    assert key.public == PublicKey(bytes.fromhex(public))
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.public.verify(bytes.fromhex(signature), bytes.fromhex(message))


def small_order_encodings() -> list[bytes]:
    """The eight points of small order, and the encodings of them that are not canonical."""
    ys = (0, 1, FIELD_PRIME - 1, TORSION_Y, FIELD_PRIME - TORSION_Y)
    written = [y + more for y in ys for more in (0, FIELD_PRIME) if y + more < 2**255]
    return [(y | sign << 255).to_bytes(32, "little") for y in written for sign in (0, 1)]


def test_attack_020_every_encoding_of_a_small_order_point_is_refused() -> None:
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for raw in encodings:
        with pytest.raises(VerificationError) as caught:
            PublicKey(raw)
        assert caught.value.id == "key.small_order"


def test_a_coordinate_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(VerificationError) as caught:
        PublicKey((FIELD_PRIME + 3).to_bytes(32, "little"))
    assert caught.value.id == "key.encoding"


@pytest.mark.parametrize("size", [0, 63, 65])
def test_attack_011_a_signature_of_another_length_is_bad(size: int) -> None:
    key = SigningKey.generate()
    with pytest.raises(VerificationError) as caught:
        key.public.verify(b"x" * size, b"message")
    assert caught.value.id == "signature.bad"


def test_a_signature_with_the_group_order_added_is_bad() -> None:
    key = SigningKey.generate()
    signature = key.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    with pytest.raises(VerificationError):
        key.public.verify(signature[:32] + scalar.to_bytes(32, "little"), b"message")


def test_any_flipped_bit_of_a_signature_or_message_is_bad() -> None:
    key = SigningKey.generate()
    signature = key.sign(b"message")
    for bit in range(len(signature) * 8):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VerificationError):
            key.public.verify(bytes(flipped), b"message")
    with pytest.raises(VerificationError):
        key.public.verify(signature, b"messagf")


def test_a_key_survives_pem_and_der() -> None:
    key = SigningKey.generate()
    assert SigningKey.from_pem(key.pem()).public == key.public
    assert PublicKey.from_pem(key.public.pem()) == key.public
    assert PublicKey.from_spki_der(key.public.spki_der()) == key.public
    assert key.public.id == hashlib.sha256(key.public.spki_der()).hexdigest()


def test_nothing_that_prints_a_signing_key_shows_it() -> None:
    key = SigningKey(b"\x07" * 32)
    assert "07" * 8 not in repr(key)
    assert repr(b"\x07" * 4)[2:-1] not in f"{key} {key!r} {vars(key)}"


def test_openssl_makes_the_same_signature_and_verifies_ours(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "key.pem").write_bytes(key.pem())
    (tmp_path / "pub.pem").write_bytes(key.public.pem())
    message = pae("application/x-test", b'{"a":1}')
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "ours").write_bytes(key.sign(message))

    def openssl(*arguments: str) -> bytes:
        done = subprocess.run(
            ["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True
        )
        return done.stdout

    sign = ["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "message"]
    assert openssl(*sign) == key.sign(message)
    verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "pub.pem", "-in", "message"]
    assert b"Verified Successfully" in openssl(*verify, "-sigfile", "ours")
    assert openssl("pkey", "-in", "key.pem") == key.pem()
    assert openssl("pkey", "-in", "key.pem", "-pubout") == key.public.pem()
    der = openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER")
    assert hashlib.sha256(der).hexdigest() == key.public.id
