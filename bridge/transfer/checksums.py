"""``SHA256SUMS``, which lies beside bundles: what ``sha256sum -c`` compares them with.

Lines of other files on the same medium stay. Whoever had it before may have written anything there, or
have given a file of ours a name beside it, so nothing but lines of checksums is ever written again.
"""

import re
from pathlib import Path

from bridge.transfer.textfile import put_text, text_at

SUMS = "SHA256SUMS"
_SUMS_MAX = 1 << 20
_LINE = re.compile(rb"\\?[0-9a-f]{64} [ *][^\0]+")


def add_sum(path: Path, sha256: str) -> None:
    """Note the digest of the file at ``path``. Raises :class:`OSError`."""
    line = f"{sha256}  {path.name}".encode("utf-8", "surrogateescape")
    _put(path, [*_others(path), line])


def drop_sum(path: Path) -> None:
    """Take away the digest of the file at ``path``, which is gone. Raises :class:`OSError`."""
    if text_at(path.with_name(SUMS), _SUMS_MAX):
        _put(path, _others(path))


def _put(path: Path, lines: list[bytes]) -> None:
    sums = path.with_name(SUMS)
    if lines:
        put_text(sums, b"".join(line + b"\n" for line in lines))
    else:
        sums.unlink()


def _others(path: Path) -> list[bytes]:
    """The lines of other files."""
    ending = b"  " + path.name.encode("utf-8", "surrogateescape")
    lines = text_at(path.with_name(SUMS), _SUMS_MAX).split(b"\n")
    return [line for line in lines if _LINE.fullmatch(line) and not line.endswith(ending)]
