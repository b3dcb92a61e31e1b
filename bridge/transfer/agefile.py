"""Opening of age files to X25519 recipients, and no others; the one place that knows ``pyrage``.

A file's header is judged by us before any work is done: a passphrase file with a work factor that takes
an hour, a plugin or an unknown stanza is refused at once. Format: https://c2sp.org/age.
"""

import io
import re
from pathlib import Path
from typing import IO

from pyrage import DecryptError, IdentityError, decrypt_io
from pyrage.x25519 import Identity

from keys.errors import ConfigError, VerificationError, shown
from keys.keyfile import KEY_FILE_MAX, create_file
from spool.safefile import read_whole

Secret = Identity
"""What opens files: the secret half of a recipient."""
FIRST_LINE = b"age-encryption.org/v1\n"
IDENTITY_NAME = "age.key"
STANZAS_MAX = 32
"""Recipients in a header; a bundle has one."""
_HEADER_MAX = 16 * 1024
_STANZA = re.compile(rb"-> X25519 [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n")
_GREASE = re.compile(
    rb"-> [!-~]*-grease(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n"
)
"""What age itself may add so that readers stay tolerant: it means nothing, and is never tried."""
_MAC = re.compile(rb"--- [A-Za-z0-9+/]{43}\n")
_SECRET = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}")


def is_age(start: bytes) -> bool:
    """Whether a file that begins so is one of age."""
    return start.startswith((b"age-encryption.org/", b"-----BEGIN AGE"))


def check_header(start: bytes) -> None:
    """Nothing, if ``start`` holds a whole header with X25519 recipients alone.

    Raises :class:`VerificationError` ``age.header``.
    """
    at = len(FIRST_LINE)
    found = 0
    if start[:at] == FIRST_LINE:
        while found < STANZAS_MAX:
            match = _STANZA.match(start, at) or _GREASE.match(start, at)
            if match is None:
                break
            at, found = match.end(), found + (match[0].startswith(b"-> X25519"))
        if found and _MAC.match(start, at):
            return
    raise VerificationError(
        "age.header",
        "It is encrypted in another way than to X25519 recipients of age.",
        "Have it encrypted with: bridge export --to DIR --recipient age1…",
    )


def decrypt(source: IO[bytes], target: IO[bytes], identity: Identity) -> None:
    """Write what ``source`` says in clear to ``target``; what was written before an error is void.

    Raises :class:`VerificationError` ``age.header`` or ``age.failed``, or :class:`OSError`.
    """
    start = source.read(_HEADER_MAX)
    check_header(start)
    source.seek(-len(start), io.SEEK_CUR)
    try:
        decrypt_io(source, target, [identity])
    except (DecryptError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the medium, or of the disk; what age finds wrong in a piece has no number
        # Which of the two it was is nobody's business who sends files and reads answers.
        raise VerificationError(
            "age.failed",
            "It cannot be opened: it is for another identity, or was changed or cut short on its way.",
            "Compare its SHA-256 with the slip, and its recipient with bridge keys show.",
        ) from error


def make_identity(folder: Path) -> Path:
    """Make the identity of this machine in ``folder``, unless it is there; its file (mode 0600)."""
    path = folder / IDENTITY_NAME
    if not path.exists():
        create_file(path, f"{Identity.generate()}\n".encode(), 0o600)
    return path


def read_identity(path: Path) -> Identity:
    """The identity in the file at ``path``.

    Raises :class:`ConfigError` ``age.identity``, :class:`VerificationError` ``file.kind``, or
    :class:`OSError`.
    """
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            "age.identity",
            f"Others may read {shown(str(path))}, which opens every bundle for this machine.",
            "chmod 600 the file; if others may have read it, make a new one and say so to the senders.",
        )
    lines = read_whole(path, KEY_FILE_MAX, own=True).decode("ascii", "replace").splitlines()
    found = [line for line in lines if line and not line.startswith("#")]
    if len(found) != 1 or not _SECRET.fullmatch(found[0]):
        raise _no_identity(path)
    try:
        return Identity.from_str(found[0])
    except IdentityError as error:
        raise _no_identity(path) from error


def recipient_of(identity: Identity) -> str:
    """Where a bundle for ``identity`` is encrypted to."""
    return str(identity.to_public())


def _no_identity(path: Path) -> ConfigError:
    return ConfigError(
        "age.identity",
        f"{shown(str(path))} does not hold one AGE-SECRET-KEY-1… and nothing else.",
        "Make one with: bridge init, or age-keygen; plugins are not used.",
    )
