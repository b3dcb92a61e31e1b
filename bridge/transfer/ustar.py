"""The container of a bundle: plain ustar, in exactly one form, read without extracting anything.

A header follows from a member's name and size alone, so the reader makes the header that our writer
would have made and compares all 512 bytes: no link, device, owner, mode, extension or second spelling
gets through. After the last member come two blocks of zeros, and nothing more. GNU tar lists and
extracts it.

Format: POSIX.1-2017, pax, "ustar Interchange Format".
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from keys.errors import VerificationError, shown

BLOCK = 512
"""Bytes that everything is rounded up to."""
END = bytes(2 * BLOCK)
"""What stands after the last member."""
SIZE_MAX = 8**11 - 1
"""Bytes of a member: what eleven octal digits can say."""
MEMBERS_MAX = 4096 + 64
"""Members of a container: its segments, and what goes with them."""
_NAME_MAX = 100
_PREFIX_MAX = 155
_CHECKSUM = slice(148, 156)
_NODE = r"[a-z0-9][a-z0-9-]{0,62}"
NAME = re.compile(
    r"(?:manifest\.dsse\.json|receipt\.dsse\.json|token\.jwt|keys/[0-9]{6}\.dsse\.json"
    rf"|segments/{_NODE}/[a-z][a-z0-9-]{{0,31}}/[0-9]{{12}}\.ndjson\.zst)\Z"
)
"""Every name that a member may have."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member, and where its bytes are in the container."""

    name: str
    offset: int
    size: int


def header(name: str, size: int) -> bytes:
    """The header of a member."""
    prefix, _, base = name.rpartition("/")
    assert len(base) <= _NAME_MAX  # noqa: S101 - by NAME
    assert len(prefix) <= _PREFIX_MAX  # noqa: S101 - by NAME
    fields = b"".join(
        (
            base.encode().ljust(_NAME_MAX, b"\0"),
            b"0000644\0" + b"0000000\0" * 2,
            b"%011o\0" % size,
            b"%011o\0" % 0,
            b" " * 8,
            b"0",
            bytes(100),
            b"ustar\x0000",
            bytes(64),
            b"0000000\0" * 2,
            prefix.encode().ljust(_PREFIX_MAX, b"\0"),
            bytes(12),
        )
    )
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def padding(size: int) -> bytes:
    """The zeros that follow a member of ``size`` bytes."""
    return bytes(-size % BLOCK)


def total_size(sizes: list[int]) -> int:
    """Bytes of a container with members of ``sizes``."""
    return sum(BLOCK + size + len(padding(size)) for size in sizes) + len(END)


def members(fd: int, size: int) -> Iterator[Member]:
    """The members of the container of ``size`` bytes behind ``fd``, in order; nothing is extracted.

    Raises :class:`VerificationError` ``container.*`` at the first thing that our writer would not have
    written, or :class:`OSError`.
    """
    offset, seen = 0, set[str]()
    while True:
        block = os.pread(fd, BLOCK, offset)
        if len(block) < BLOCK:
            raise _bad("truncated", "it ends in the middle")
        if not any(block):
            break
        member = _member(block, offset + BLOCK)
        if member.name in seen:
            raise _bad("repeated", f"{shown(member.name)} stands in it twice")
        if len(seen) == MEMBERS_MAX:
            raise _bad("members", f"it has more than {MEMBERS_MAX} members")
        seen.add(member.name)
        offset = member.offset + member.size
        pad = padding(member.size)
        if offset + len(pad) + len(END) > size:
            raise _bad("truncated", f"it ends before {shown(member.name)} does")
        if os.pread(fd, len(pad), offset) != pad:
            raise _bad("padding", f"something stands behind {shown(member.name)}")
        yield member
        offset += len(pad)
    if os.pread(fd, len(END) + 1, offset) != END or offset + len(END) != size:
        raise _bad("end", "it does not end with two blocks of zeros and nothing more")


def _member(block: bytes, offset: int) -> Member:
    name = _text(block[:_NAME_MAX])
    prefix = _text(block[345 : 345 + _PREFIX_MAX])
    digits = block[124:135]
    whole = f"{prefix}/{name}" if prefix else name
    if not re.fullmatch(rb"[0-7]{11}", digits) or not NAME.match(whole):
        raise _bad("member", f"it has a member {shown(whole)} that no bundle has")
    size = int(digits, 8)
    if header(whole, size) != block:
        raise _bad("header", f"the header of {shown(whole)} is not the one that it has in a bundle")
    return Member(whole, offset, size)


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("ascii", "backslashreplace")


def _bad(problem: str, why: str) -> VerificationError:
    return VerificationError(
        f"container.{problem}",
        f"It is no bundle: {why}.",
        "Take the file from its source again; compare its SHA-256 with the slip.",
    )
