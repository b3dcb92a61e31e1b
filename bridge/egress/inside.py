"""A single line that is too large for the beacon, sent in parts: its resources, scopes, records.

A line cannot be cut by bounds, so its batch stays one batch, and its parts are requests of it, one
after the other. A part's place is the way to it (second piece of the first piece), its bytes and its
key follow from the line alone: after a restart the same parts are sent with the same keys.
"""

import hashlib
from dataclasses import dataclass, field

from spool.errors import RecordError
from spool.ledger import Answer
from spool.otlp import Signal

Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a line of its own, how many records it holds, the key of its request."""

    place: Place
    line: bytes
    records: int
    key: str

    @property
    def name(self) -> str:
        """Which one, for people."""
        return ".".join(str(step + 1) for step in self.place)


@dataclass(slots=True)
class Inside:
    """What is left to send of the line of one batch, and what became of the rest.

    Counts are of OTLP records. ``lacking``: the beacon's own count of some part was lower. ``why`` is
    the last refusal.
    """

    batch: int
    key: str
    signal: Signal
    waiting: list[Place] = field(default_factory=list)
    taken: int = 0
    refused: int = 0
    lacking: bool = False
    why: Answer | None = None

    def split(self, line: bytes, place: Place = ()) -> bool:
        """Plan the pieces of what is at ``place``; False where it cannot be split."""
        try:
            pieces = len(self.signal.halves(self._at(line, place)))
        except RecordError:
            return False
        if pieces < 2:  # noqa: PLR2004 - one piece is the whole
            return False
        self.waiting += [(*place, index) for index in reversed(range(pieces))]
        return True

    def take(self, line: bytes) -> Part:
        """The next part of ``line``, which waits no longer."""
        place = self.waiting.pop()
        piece = self._at(line, place)
        said = "\n".join(["airgap-bridge part 1", self.key, *map(str, place)])
        key = hashlib.sha256(said.encode()).hexdigest()[:32]
        return Part(place, piece, self.signal.records_in(piece), key)

    def put_back(self, part: Part) -> None:
        """It has no answer: it is the next one again."""
        self.waiting.append(part.place)

    def _at(self, line: bytes, place: Place) -> bytes:
        for index in place:
            line = self.signal.halves(line)[index]
        return line
