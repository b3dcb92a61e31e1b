"""One segment file, every check made, in the order that the format asks for.

The file's kind and owner, its size, the seal, its place, the digest, the signature, its link in the
chain, and only then the frames: stored bytes are hashed once and decompressed once.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from keys.ed25519 import PublicKey
from keys.errors import BridgeError, VerificationError
from spool.errors import RecordError
from spool.frames import FrameDecoder
from spool.jsonbytes import value_of
from spool.lane import SHARD
from spool.segment import Segment
from spool.statement import Statement
from spool.verdicts import Item, problem_of

Keys = Callable[[str], Mapping[str, PublicKey]]
"""The keys, by id, that may speak for the node of that name."""
Place = Callable[[Segment], None]
"""Raises :class:`VerificationError` unless the segment may lie where it lies."""
Link = Callable[[Statement, str], str | None]
"""Raises :class:`VerificationError` unless this statement, of this digest, may come next; a note."""

_SEALED = re.compile(r".*/([^/]+)/([^/]+)/sealed/([0-9]{8})/([0-9]{12})\.ndjson\.zst", re.DOTALL)
_FORK = re.compile(r".*/([^/]+)/([^/]+)/forks/([0-9]{12})-([0-9a-f]{16})\.ndjson\.zst", re.DOTALL)
_NUMBERED = re.compile(r"([0-9]{12})\.ndjson\.zst")


@dataclass(frozen=True, slots=True)
class Known:
    """What a seal says whose place and signature are good, and its digest."""

    said: Statement
    digest: str


class Inspector:
    """Checks segment files one after the other, in memory that does not grow with them."""

    def __init__(self, keys: Keys, *, records: bool = False) -> None:
        """Trust ``keys``; with ``records`` each line must be a JSON object too."""
        self._keys = keys
        self._records = records
        self._decoder = FrameDecoder()

    def check(
        self, path: Path, *, own: bool, place: Place, link: Link
    ) -> tuple[Item, Known | None]:
        """What there is to say of the file at ``path``.

        What its seal says is known also where its bytes are bad: its chain goes on.
        """
        said: Statement | None = None
        known: Known | None = None
        try:
            with Segment.open(path, own=own) as segment:
                said = segment.statement
                place(segment)
                known = self._known(segment)
                note = link(known.said, known.digest)
                self._check_frames(segment)
        except _BadBytesError as error:
            return Item(path, "segment", problem_of(error.cause), said=said), error.known
        except (VerificationError, RecordError, OSError) as error:
            return Item(path, "segment", problem_of(error), said=said), known
        return Item(path, "segment", note=note, said=said), known

    def _known(self, segment: Segment) -> Known:
        known = Known(segment.statement, segment.digest)
        keys = self._keys(segment.statement.node)
        try:
            segment.check_digest()
        except VerificationError as error:
            try:
                segment.check_signature(keys)
            except VerificationError:
                raise error from None
            raise _BadBytesError(error, known) from error
        segment.check_signature(keys)
        return known

    def _check_frames(self, segment: Segment) -> None:
        if not self._records:
            segment.check_frames(self._decoder)
            return
        line = 0
        for raw, _ in segment.raw_frames(self._decoder):
            for record in BytesIO(raw):
                line += 1
                _check_record(record, line)


class _BadBytesError(Exception):
    """The seal is good, the bytes before it are not."""

    def __init__(self, cause: BridgeError, known: Known) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.known = known


def _check_record(record: bytes, line: int) -> None:
    try:
        if isinstance(value_of(record), dict):
            return
    except RecordError as error:
        raise RecordError(error.id, f"Line {line}: {error.message}", error.hint) from error
    raise RecordError(
        "record.form",
        f"Line {line}: A record is not a JSON object.",
        "Ask the node that sealed it; the bytes are the ones that were signed.",
    )


def lies_in_place(path: Path) -> Place:
    """The rule for a file given by its path: where it lies in a lane, it must belong there."""
    where = os.path.abspath(path)  # noqa: PTH100 - names as they are given, links not followed

    def check(segment: Segment) -> None:
        said = segment.statement
        if match := _SEALED.fullmatch(where):
            segment.check_place(match[1], match[2], int(match[4]))
            good = int(match[3]) == said.seq // SHARD
        elif match := _FORK.fullmatch(where):
            segment.check_place(match[1], match[2], int(match[3]))
            good = segment.digest.startswith(match[4])
        else:
            match = _NUMBERED.fullmatch(path.name)
            good = match is None or int(match[1]) == said.seq
        if not good:
            raise VerificationError(
                "segment.place",
                f"It is {said.node}/{said.stream}/{said.seq}, which its name does not say.",
                "Find out who moved it; take it from its source again.",
            )

    return check
