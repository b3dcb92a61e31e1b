"""A sealed segment: data frames, then the seal, then nothing.

Reading checks in a fixed order, each step before the next one spends anything: the file's type and
owner, its size, the seal, the digest, the signature and whose it is, and only then the frames, each
bounded before memory is taken. One descriptor serves all steps, so a file that is swapped meanwhile
cannot mix its bytes with another's; and of a small one, what was hashed is what is decompressed.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from keys import dsse
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError, shown
from spool import statement as statements
from spool.frames import Frame, FrameDecoder, RawFrame, frames
from spool.safefile import open_regular
from spool.statement import Statement

SEAL_MAGIC = b"\x5b\x2a\x4d\x18"
"""0x184D2A5B, little-endian: one of the sixteen skippable frames that zstd passes over."""
SEAL_MAX = 64 * 1024
"""Bytes of a whole seal; one with the longest statement has 45 KiB."""
SEGMENT_STORED_MAX = 1024 * 1024 * 1024
"""Bytes of a whole segment file; a writer seals at 32 MiB of records unless told otherwise."""
_TAIL = 4096
"""Bytes that are read first: the whole seal, unless it declares a loss of many numbers."""
_FRAMING = 12
"""Bytes of a seal around its envelope: magic, size, and the total length at the end."""
_PIECE = 256 * 1024


def make_seal(statement: Statement, signer: SigningKey) -> tuple[bytes, str]:
    """The seal's bytes, and the digest that is the segment's identity."""
    payload = statements.encode(statement)
    envelope = dsse.seal(statements.PAYLOAD_TYPE, payload, [signer])
    total = len(envelope) + _FRAMING
    inner = len(envelope) + 4
    seal = SEAL_MAGIC + inner.to_bytes(4, "little") + envelope + total.to_bytes(4, "little")
    return seal, statements.digest_of(payload)


def _bad(problem: str, message: str) -> VerificationError:
    return VerificationError(
        f"segment.{problem}",
        f"This is not a whole segment of ours: {message}.",
        "Do not use this file; take it from its source again.",
    )


class Segment:
    """An open segment file whose seal was found and parsed; close it, or use it in a ``with``.

    ``statement`` is what the seal says, ``digest`` its identity, ``stored_size`` the bytes of the
    whole file. Nothing of it is trusted before :meth:`check_digest` and :meth:`check_signature`.
    """

    def __init__(self, fd: int, *, base: int = 0, size: int | None = None) -> None:
        """Take over ``fd``, or close it and raise :class:`VerificationError`.

        The segment is the whole file, or the ``size`` bytes from ``base`` on.
        """
        self._fd = fd
        self._base = base
        self._hashed: bytes | None = None
        """All of its data, where that was hashed in one piece."""
        try:
            self.stored_size = os.fstat(fd).st_size if size is None else size
            self.envelope = dsse.parse(self._envelope_bytes(), limit=SEAL_MAX)
            self.envelope.expect(statements.PAYLOAD_TYPE)
            self.statement = statements.decode(self.envelope.payload)
            self.digest = statements.digest_of(self.envelope.payload)
            if self.statement.size != self.seal_offset:
                raise _bad("size", "its seal states another size than it has")
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def open(cls, path: Path | str, *, own: bool = True) -> Self:
        """The segment at ``path``; with ``own`` only a file of ours. See ``open_regular``."""
        return cls(open_regular(path, own=own))

    @classmethod
    def within(cls, fd: int, base: int, size: int) -> Self:
        """The segment in a part of the file behind ``fd``, which stays open and the caller's."""
        return cls(os.dup(fd), base=base, size=size)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _read(self, offset: int, size: int) -> bytes:
        left = max(self.stored_size - offset, 0)
        return os.pread(self._fd, min(size, left), self._base + offset)

    def _envelope_bytes(self) -> bytes:
        size = self.stored_size
        if size > SEGMENT_STORED_MAX:
            raise _bad("too_large", f"it has more than {SEGMENT_STORED_MAX} bytes")
        tail = self._tail(_TAIL)
        total = int.from_bytes(tail[-4:], "little")
        if len(tail) < total <= SEAL_MAX:
            tail = self._tail(total)
        if not _FRAMING <= total <= len(tail):
            if not self._tail(SEAL_MAX).strip(b"\0"):
                raise _bad("blank", "it is empty or holds only zeros")
            raise _bad("no_seal", "it does not end with a seal")
        seal = tail[-total:]
        inner = int.from_bytes(seal[4:8], "little")
        if seal[:4] != SEAL_MAGIC or inner != total - 8:
            raise _bad("no_seal", "it does not end with a seal")
        self.seal_offset = size - total
        return seal[8:-4]

    def _tail(self, size: int) -> bytes:
        return self._read(max(self.stored_size - size, 0), size)

    def check_digest(self) -> None:
        """Raise ``segment.digest`` unless the bytes before the seal are the ones that were signed."""
        digest = hashlib.sha256()
        for offset in range(0, self.seal_offset, _PIECE):
            piece = self._read(offset, min(_PIECE, self.seal_offset - offset))
            digest.update(piece)
            if len(piece) == self.seal_offset:
                self._hashed = piece
        if digest.hexdigest() != self.statement.sha256:
            raise _bad("digest", "its bytes are not the ones that were sealed")

    def check_signature(self, keys: Mapping[str, PublicKey]) -> PublicKey:
        """The key of ``keys`` (by id) that signed it, or ``key.untrusted`` or ``signature.bad``."""
        return self.envelope.verify(keys)

    def check_place(self, node: str, stream: str, seq: int) -> None:
        """Raise ``segment.place`` unless it belongs in this lane and has this number."""
        said = self.statement
        if (said.node, said.stream, said.seq) != (node, stream, seq):
            raise _bad(
                "place", f"it is {said.node}/{said.stream}/{said.seq}, not {node}/{stream}/{seq}"
            )

    def stored_frames(self) -> Iterator[Frame]:
        """Its data frames as they are stored, in order; raises ``frame.*``."""
        return frames(self._read_hashed, self.seal_offset)

    def _read_hashed(self, offset: int, size: int) -> bytes:
        held = self._hashed
        return self._read(offset, size) if held is None else held[offset : offset + size]

    def raw_frames(self, decoder: FrameDecoder, *, prove: bool = False) -> Iterator[RawFrame]:
        """What each data frame holds, in order.

        After the last one, raises ``segment.count`` unless all of them hold just as many records
        and bytes as was signed; raises ``frame.*`` at the frame that is wrong. To ``prove`` it, raises
        ``segment.digest`` at the end unless what was read for it is what was signed: a medium that
        lies may answer one reading so and the next one otherwise.
        """
        records = 0
        digest = hashlib.sha256()
        for frame in self._bounded_frames():
            if prove:
                digest.update(frame.stored)
            found = decoder.decode(frame)
            records += found.lines
            yield found
            del found  # whoever took it decides how long it is held
        self._check_records(records)
        if prove and digest.hexdigest() != self.statement.sha256:
            raise _bad("digest", "its medium gives other bytes now than were verified")

    def check_frames(self, decoder: FrameDecoder) -> None:
        """Raise as :meth:`raw_frames` does; for whoever does not want the lines, and quicker."""
        self._check_records(sum(map(decoder.count, self._bounded_frames())))

    def _bounded_frames(self) -> Iterator[Frame]:
        raw_size = 0
        for frame in self.stored_frames():
            raw_size += frame.raw_size
            if raw_size > self.statement.raw_size:
                raise _bad("count", "it holds more bytes than were sealed")
            yield frame
        if raw_size != self.statement.raw_size:
            raise _bad("count", "it does not hold as many bytes as were sealed")

    def _check_records(self, found: int) -> None:
        if found != self.statement.records:
            raise _bad("count", "it does not hold as many records as were sealed")


def check_link(previous: Statement, digest: str, statement: Statement) -> None:
    """Raise ``chain.broken`` unless ``statement`` comes right after ``previous`` in its chain.

    ``digest`` is the identity of ``previous``.
    """
    expected = (previous.node, previous.stream, previous.chain, previous.seq + 1, digest)
    found = (statement.node, statement.stream, statement.chain, statement.seq, statement.prev)
    if expected != found or statement.before != previous.after:
        raise VerificationError(
            "chain.broken",
            f"Segment {statement.seq} does not follow segment {previous.seq} of its chain "
            f"{shown(statement.chain)}.",
            "Something was taken out, put in or exchanged between them; ask the node for both.",
        )
