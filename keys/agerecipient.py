"""Recipients of age: X25519 alone, written as ``age1`` and 58 characters in lower case.

Format: https://c2sp.org/age, bech32 by BIP 173. Plugins, SSH keys and secret keys are refused: a bundle
must open with the one identity that its relay was trusted with, and a secret must not stand in a
configuration.
"""

from keys.errors import VerificationError

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_PREFIX = "age"
_LENGTH = 62
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_KEY_BITS = 256
_CHECKSUM = 6
"""Characters at the end."""


def check_recipient(text: str) -> str:
    """``text``, if it is a recipient; else :class:`VerificationError` ``recipient.form``."""
    key_of(text)
    return text


def key_of(text: str) -> bytes:
    """The X25519 public key, 32 bytes, that ``text`` spells; raises as :func:`check_recipient`."""
    if len(text) != _LENGTH or not text.startswith(f"{_PREFIX}1"):
        raise bad_recipient()
    data = [_CHARSET.find(mark) for mark in text[len(_PREFIX) + 1 :]]
    head = [ord(mark) >> 5 for mark in _PREFIX] + [0] + [ord(mark) & 31 for mark in _PREFIX]
    if min(data) < 0 or _polymod(head + data) != 1:
        raise bad_recipient()
    # 256 bits in groups of five: what is left over must be zero.
    value = 0
    for group in data[:-_CHECKSUM]:
        value = value << 5 | group
    rest = 5 * (len(data) - _CHECKSUM) - _KEY_BITS
    if value & ((1 << rest) - 1):
        raise bad_recipient()
    return (value >> rest).to_bytes(_KEY_BITS // 8)


def bad_recipient() -> VerificationError:
    """The error for what is no recipient."""
    return VerificationError(
        "recipient.form",
        "A recipient is not age1 followed by 58 lower-case characters with a right checksum.",
        "Copy it whole from `bridge keys show` on the machine that is to read the bundle.",
    )


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check
