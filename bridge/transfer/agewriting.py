"""Age files to X25519 recipients, made in large pieces beside other work.

The primitives are OpenSSL's, the format is https://c2sp.org/age; the command ``age`` and ``pyrage``,
which opens what comes to us, read what is made here. Nothing but the recipients decides who can.
"""

import os
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.agerecipient import bad_recipient, key_of

CHUNK = 64 * 1024
"""Bytes that are encrypted, and later opened, at once: the format's own number."""
_VERSION = b"age-encryption.org/v1"
_FILE_KEY = 16
_NONCE = 16
_COUNTER = 11
"""Bytes of a chunk's number in its nonce; one more says whether it is the last."""
_NO_NONCE = bytes(12)
"""A key that wraps a file key is used once."""

_TAG = 16
"""Bytes by which a chunk grows."""
SEALED_CHUNK = CHUNK + _TAG

Random = Callable[[int], bytes]
"""So many bytes that nobody can guess."""


class AgeWriter:
    """Makes one file: :attr:`start`, then what :meth:`seal` makes of the pieces in order.

    It keeps the file's key, so it can tell of what comes back whether that is what it made.
    """

    def __init__(self, recipients: Sequence[str], random: Random = os.urandom) -> None:
        """For each of ``recipients``; raises :class:`VerificationError` ``recipient.form``."""
        file_key = random(_FILE_KEY)
        header = _VERSION + b"\n"
        for each in recipients:
            header += _stanza(key_of(each), file_key, random(32))
        header += b"---"
        mac = HMAC(_derived(file_key, b"", b"header"), SHA256())
        mac.update(header)
        nonce = random(_NONCE)
        self.start: Final = header + b" " + _base64(mac.finalize()) + b"\n" + nonce
        self._cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
        self.chunks = 0
        """How many were made."""

    def seal(self, piece: memoryview, into: memoryview, *, last: bool = False) -> int:
        """Encrypt ``piece``: whole chunks, unless it is the ``last`` one, which there must be.

        The bytes that it takes of ``into``, at most :func:`sealed_size`. Raises :class:`ValueError`
        where nothing is to be the last one of something: nobody would open such a file.
        """
        if not piece and self.chunks:
            raise ValueError("an empty chunk after others")
        used = 0
        ends = range(CHUNK, max(len(piece), 1) + CHUNK, CHUNK)
        for end in ends:
            nonce = _nonce(self.chunks, last=last and end == ends[-1])
            chunk = piece[end - CHUNK : end]
            room = into[used : used + len(chunk) + _TAG]
            used += self._cipher.encrypt_into(nonce, chunk, None, room)
            self.chunks += 1
        return used

    def opens(self, number: int, sealed: memoryview, into: memoryview) -> bool:
        """Whether ``sealed`` is chunk ``number``, from 0 on, as it was made; ``into`` gets its content.

        To be asked when all of them are made. Without the file's key nobody makes another that passes.
        """
        nonce = _nonce(number, last=number == self.chunks - 1)
        try:
            self._cipher.decrypt_into(nonce, sealed, None, into[: len(sealed) - _TAG])
        except (InvalidTag, ValueError):
            return False
        return True


def sealed_size(size: int) -> int:
    """Bytes at most that ``size`` bytes take when they are encrypted."""
    return size + (size // CHUNK + 1) * _TAG


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER) + bytes([last])


def _stanza(recipient: bytes, file_key: bytes, secret: bytes) -> bytes:
    """How ``recipient`` gets at ``file_key``."""
    ephemeral = X25519PrivateKey.from_private_bytes(secret)
    share = ephemeral.public_key().public_bytes_raw()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError as error:  # a point of small order: everybody would know the key
        raise bad_recipient() from error
    wrapping = _derived(shared, share + recipient, _VERSION + b"/X25519")
    body = ChaCha20Poly1305(wrapping).encrypt(_NO_NONCE, file_key, None)
    return b"-> X25519 " + _base64(share) + b"\n" + _base64(body) + b"\n"


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(secret)


def _base64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")
