"""A place in a segment that is being sent, verified before a byte of it leaves.

Place, digest, signature and the link to its predecessor are checked when a segment is opened, each
frame's checksum and size when it is read.
"""

from collections.abc import Callable, Mapping

from keys.ed25519 import PublicKey
from keys.errors import BridgeError, VerificationError
from spool.frames import FrameDecoder, lines_in
from spool.lane import Lane
from spool.ledger import Position, SegmentSums
from spool.segment import Segment, check_link
from spool.statement import Statement


class DamagedSegmentError(BridgeError):
    """A segment up to the head is missing, or is not what was sealed; its number is ``seq``."""

    exit_code = 5

    def __init__(self, seq: int, cause: Exception) -> None:
        """``cause`` is what was found where it should be."""
        super().__init__(
            "spool.gap",
            f"Segment {seq} cannot be sent: {cause}",
            "Look at quarantine/ and at bridge status; what follows it is sent.",
        )
        self.seq = seq


class Cursor:
    """The next line of an open segment; ``sums`` and ``digest`` are what its seal says."""

    def __init__(self, segment: Segment, decoder: FrameDecoder) -> None:
        said = segment.statement
        self.sums = SegmentSums(said.seq, said.before, said.totals)
        self.digest = segment.digest
        self.line = 0
        self._segment = segment
        self._frames = segment.raw_frames(decoder)
        self._raw = b""
        self._begin = 0
        """Where in it the next line begins."""
        self._left = 0
        """Lines from there on."""

    @property
    def position(self) -> Position:
        """The segment's number and the next line."""
        return self.sums.seq, self.line

    def take(
        self, room: int | None, lines: int | None, limit: int, *, at_least_one: bool
    ) -> list[bytes]:
        """Whole lines before line ``limit``: at most ``room`` bytes and ``lines`` lines of them.

        With ``at_least_one`` the first line is taken however large it is. Raises
        :class:`DamagedSegmentError`.
        """
        taken: list[bytes] = []
        while self.line < limit:
            if not self._left:
                self._next_frame()
            count = limit - self.line if lines is None else min(limit - self.line, lines)
            piece, found = self._cut(room, count, at_least_one=at_least_one and not taken)
            if not found:
                break
            taken.append(piece)
            room = None if room is None else room - len(piece)
            lines = None if lines is None else lines - found
        return taken

    def skip_to(self, line: int) -> None:
        """Go forward to ``line``. Raises :class:`DamagedSegmentError`."""
        while self.line < line:
            if not self._left:
                self._next_frame()
            self._cut(None, line - self.line, at_least_one=True)

    def close(self) -> None:
        """Close the segment."""
        self._segment.close()

    def _next_frame(self) -> None:
        self._raw = b""  # never two at a time
        try:
            self._raw, self._left = next(self._frames)
        except (VerificationError, StopIteration) as error:
            raise DamagedSegmentError(self.sums.seq, error) from error
        self._begin = 0

    def _cut(self, room: int | None, lines: int, *, at_least_one: bool) -> tuple[bytes, int]:
        """Go on by whole lines, at most ``room`` bytes and ``lines`` lines: they, and how many."""
        raw, begin = self._raw, self._begin
        end, found, piece = len(raw), self._left, b""
        if room is not None and end - begin > room:
            end = raw.rfind(b"\n", begin, begin + room) + 1
            if not end and at_least_one:
                end = raw.find(b"\n", begin) + 1
            piece = raw[begin:end]  # cut out once: it is not small
            found = lines_in(piece)
        if found > lines:
            found, end, piece = lines, begin, b""
            for _ in range(lines):
                end = raw.find(b"\n", end) + 1
        self.line += found
        self._left -= found
        if not found:
            return b"", 0
        self._begin = end
        return piece or raw[begin:end], found


class Opener:
    """Opens the segments of one lane at a line; ``keys`` may have signed them, by id."""

    def __init__(self, lane: Lane, keys: Callable[[], Mapping[str, PublicKey]]) -> None:
        self._lane = lane
        self._keys = keys
        self._decoder = FrameDecoder()
        self._previous: tuple[Statement, str] | None = None

    def open(self, seq: int, line: int) -> Cursor:
        """A cursor at ``line`` of segment ``seq``.

        Raises :class:`DamagedSegmentError`; :class:`VerificationError` ``key.untrusted``, which
        says nothing of the segment (a key file was exchanged), or :class:`OSError`.
        """
        try:
            segment = Segment.open(self._lane.segment_place(seq))
        except (FileNotFoundError, NotADirectoryError, VerificationError) as error:
            raise DamagedSegmentError(seq, error) from error
        try:
            self._check(segment, seq)
            cursor = Cursor(segment, self._decoder)
            cursor.skip_to(line)
        except VerificationError as error:
            segment.close()
            if error.id == "key.untrusted":
                raise VerificationError(error.id, error.message, _whose_key(self._lane)) from error
            raise DamagedSegmentError(seq, error) from error
        except BaseException:
            segment.close()
            raise
        return cursor

    def _check(self, segment: Segment, seq: int) -> None:
        segment.check_place(self._lane.node, self._lane.stream, seq)
        segment.check_digest()
        segment.check_signature(self._keys())
        said, previous = segment.statement, self._previous
        if previous is not None and (previous[0].chain, previous[0].seq + 1) == (said.chain, seq):
            check_link(*previous, said)
        self._previous = (said, segment.digest)


def _whose_key(lane: Lane) -> str:
    """What to do about a segment up to the head that an unknown key sealed."""
    if lane.imported.exists():
        return f"If it is a key of {lane.node}, trust it, see: bridge keys trust --help"
    return "Put back the node.pem that sealed it, with its folder rotations; run: bridge doctor"
