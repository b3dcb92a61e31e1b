"""A recipient of age is taken as age itself writes it, and in no other form."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyrage import x25519

from keys.agerecipient import check_recipient, key_of
from keys.errors import VerificationError

GOOD = "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6sx0k59h"
MARKS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def is_refused(text: str) -> bool:
    try:
        check_recipient(text)
    except VerificationError as error:
        assert error.id == "recipient.form"  # noqa: PT017 - what is no recipient has this one id
        return True
    return False


def test_what_age_makes_is_taken_as_it_stands() -> None:
    made = [str(x25519.Identity.generate().to_public()) for _ in range(50)]
    assert [check_recipient(text) for text in made] == made
    assert check_recipient(GOOD) == GOOD


def test_the_key_is_that_of_the_identity_whose_recipient_it_is() -> None:
    identity = x25519.Identity.generate()
    spelled = str(identity).lower().removeprefix("age-secret-key-1")[:-6]
    bits = "".join(f"{MARKS.index(mark):05b}" for mark in spelled)[:256]
    secret = X25519PrivateKey.from_private_bytes(int(bits, 2).to_bytes(32, "big"))
    assert key_of(str(identity.to_public())) == secret.public_key().public_bytes_raw()


def test_one_wrong_character_anywhere_is_refused() -> None:
    for at in range(len(GOOD)):
        for mark in MARKS:
            wrong = GOOD[:at] + mark + GOOD[at + 1 :]
            assert wrong == GOOD or is_refused(wrong)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(GOOD[:-1], id="too-short"),
        pytest.param(GOOD + "q", id="too-long"),
        pytest.param(GOOD + "\n", id="a-line-break"),
        pytest.param(GOOD.upper(), id="upper-case"),
        pytest.param(GOOD[:4] + "b" + GOOD[5:], id="a-character-that-bech32-has-not"),
        pytest.param(
            "agf1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6swj0mtu", id="another-prefix"
        ),
        pytest.param(
            "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6snnxcq4", id="bech32m"
        ),
        pytest.param(
            "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne63mezpc9", id="low-bit-left-over"
        ),
        pytest.param(
            "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6ccmjcm2",
            id="high-bit-left-over",
        ),
    ],
)
def test_another_form_is_refused_though_its_checksum_may_be_right(text: str) -> None:
    assert is_refused(text)
