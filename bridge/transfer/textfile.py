"""Small files of text on a medium, which somebody else may have had in hands before.

Nothing that was planted there is followed or waited for: a link among its files leads to ours.
"""

import os
from contextlib import suppress
from pathlib import Path

from keys.errors import VerificationError
from spool.safefile import read_whole

_MODE = 0o644


def put_text(path: Path, text: bytes) -> None:
    """Put a file that holds ``text`` in the place of what is at ``path``. Raises :class:`OSError`."""
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, _MODE), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def text_at(path: Path, limit: int) -> bytes:
    """What a regular file at ``path`` holds; nothing where there is none, or it is above ``limit``.

    Raises :class:`OSError`.
    """
    try:
        return read_whole(path, limit, own=False)
    except (FileNotFoundError, VerificationError):
        return b""
