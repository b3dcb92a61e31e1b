"""Keys sign and verify as RFC 8032 says, and as openssl does."""

import base64
import hashlib
import subprocess
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.dsse import pae
from keys.ed25519 import FIELD_PRIME, PublicKey, SigningKey
from keys.errors import VerificationError
from tests.unit.keys.points import doubled, point, small_order_encodings

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
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
            "3dca179c138ac17ad9bef1177331a704"
        ),
    ),
]
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_rfc_8032(
    secret: str, public: str, message: str, signature: str
) -> None:
    key = SigningKey(bytes.fromhex(secret))
    assert key.public == PublicKey(bytes.fromhex(public))
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.public.verify(bytes.fromhex(signature), bytes.fromhex(message))


def test_attack_020_every_encoding_of_a_small_order_point_is_refused() -> None:
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for raw in encodings:
        with pytest.raises(VerificationError) as caught:
            PublicKey(raw)
        assert caught.value.id == "key.small_order"


def test_the_small_order_encodings_are_all_eight_points_whose_order_divides_8() -> None:
    points = {point(raw) for raw in small_order_encodings()}
    assert len(points) == 8  # The curve's cofactor is 8: there are no more.
    assert {doubled(doubled(doubled(at))) for at in points} == {(0, 1)}


def test_attack_020_the_library_alone_would_take_forgeries_under_each_of_them() -> None:
    forged = (1).to_bytes(32, "little") + bytes(32)  # R is the neutral point, S is zero.
    for raw in small_order_encodings():
        library = Ed25519PublicKey.from_public_bytes(raw)
        taken = 0
        for number in range(200):
            with suppress(InvalidSignature):
                library.verify(forged, b"%d" % number)
                taken += 1
        assert taken, raw.hex()


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


def test_a_public_key_that_was_read_twice_is_one_key_in_a_set() -> None:
    key, other = SigningKey.generate().public, SigningKey.generate().public
    assert {key, PublicKey.from_pem(key.pem()), other} == {key, other}
    assert len({key, PublicKey.from_spki_der(key.spki_der()), other}) == 2


def test_nothing_that_prints_a_signing_key_shows_it() -> None:
    key = SigningKey(bytes(range(32, 64)))
    try:
        key.public.verify(b"", b"")
    except VerificationError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        printed = f"{key} {key!r} {vars(key)} {[key]} {''.join(told.format())}"
    assert f"key = {key!r}" in printed
    seed = bytes(range(32, 64))
    written = (seed.hex()[:16], repr(seed)[2:20], base64.b64encode(seed).decode()[:16])
    # Of the PEM, the part that no other key has.
    for form in (*written, key.pem().splitlines()[1].decode()[-40:]):
        assert form not in printed


@pytest.mark.parametrize(
    "around",
    [(b"x\n", b""), (b"", b"x"), (b"", b"\n"), (b"\n", b""), None],
    ids=["before", "after", "newline-after", "newline-before", "twice"],
)
def test_a_pem_with_anything_around_its_block_is_refused(
    around: tuple[bytes, bytes] | None,
) -> None:
    key = SigningKey.generate()
    for block, load in (
        (key.pem(), SigningKey.from_pem),
        (key.public.pem(), PublicKey.from_pem),
    ):
        data = block + block if around is None else around[0] + block + around[1]
        with pytest.raises(VerificationError) as caught:
            load(data)
        assert caught.value.id == "key.encoding"
        load(block.removesuffix(b"\n"))


@pytest.mark.parametrize("oid", ["2b656f", "2b6571"], ids=["x448", "ed448"])
def test_a_private_key_of_another_curve_with_our_length_is_refused(oid: str) -> None:
    der = bytes.fromhex(f"302e0201003005 0603{oid} 04220420") + b"\x01" * 32
    block = b"-----BEGIN PRIVATE KEY-----\n%b-----END PRIVATE KEY-----\n"
    with pytest.raises(VerificationError) as caught:
        SigningKey.from_pem(block % base64.encodebytes(der))
    assert caught.value.id == "key.encoding"


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


def refusal_of(make: Callable[[], object]) -> str:
    with pytest.raises(VerificationError) as caught:
        make()
    return caught.value.id


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    assert refusal_of(lambda: PublicKey(b"\x42" * size)) == "key.encoding"


def test_the_der_of_another_kind_of_key_is_refused() -> None:
    der = SigningKey.generate().public.spki_der()
    for other in (b"", der[1:], der.replace(b"\x2b\x65\x70", b"\x2b\x65\x6e")):
        assert refusal_of(lambda: PublicKey.from_spki_der(other)) == "key.encoding"  # noqa: B023


def test_a_pem_says_whether_it_is_no_key_another_kind_of_key_or_encrypted() -> None:
    def openssl(*arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True)
        return done.stdout

    other = openssl("genpkey", "-algorithm", "x25519")
    locked = openssl("genpkey", "-algorithm", "ed25519", "-aes-128-cbc", "-pass", "pass:x")
    assert refusal_of(lambda: PublicKey.from_pem(b"junk")) == "key.encoding"
    assert refusal_of(lambda: PublicKey.from_pem(openssl("pkey", "-pubout", data=other))) == (
        "key.type"
    )
    assert refusal_of(lambda: SigningKey.from_pem(b"junk")) == "key.encoding"
    assert refusal_of(lambda: SigningKey.from_pem(other)) == "key.type"
    assert refusal_of(lambda: SigningKey.from_pem(locked)) == "key.encrypted"


def test_a_new_key_took_over_from_none() -> None:
    key = SigningKey.generate()
    assert (key.took_over_from, key.rotations) == ((), ())
    assert key.own_keys == {key.public.id: key.public}
