"""What came in since the start, counted for the status and the metrics.

One event loop counts; any thread may copy.

Names in here come from outside. There is a bounded number of them, they are printable, and none holds
a license key that this process knows.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from keys.errors import shown
from spool.intakefile import IntakeSums
from spool.lines import Lines
from spool.secrets import SecretGuard

UNROUTED_MAX = 64
"""Different paths that are told apart; customer traffic has one for each of its objects."""
IDS_MAX = 20_000
"""Transaction ids that are remembered at least; a LangSmith sends some hundreds an hour. Twice as many
at most, by 8 bytes and a set's overhead each: under 4 MiB."""
OTHER = "other"
"""Where every further path is counted, and one that holds a secret."""


class RecentIds:
    """The ids that came last, by their hash: a repeat is counted, and nothing is refused by it."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: set[int] = set()

    def count_known(self, ids: Iterable[str]) -> int:
        """How many of ``ids`` came before; they are remembered from now on."""
        known = 0
        for mark in map(hash, ids):
            if mark in self._now or mark in self._before:
                known += 1
            self._now.add(mark)
            if len(self._now) >= IDS_MAX:
                self._now, self._before = set(), self._now
        return known


@dataclass(slots=True)
class IntakeCounts:
    """Requests by path (ours alone), refusals by id, unrouted requests by shown path.

    By stream: ``records`` are lines, ``filtered`` log records below a warning, ``dropped`` OTLP
    records that held a secret, ``switched_off`` requests answered and stored nowhere, ``unknown``
    protobuf fields that this version does not have and did not keep.
    ``repeated`` are transactions whose id came shortly before; all of them are kept.
    """

    requests: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unrouted: Counter[str] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    switched_off: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _ids: RecentIds = field(default_factory=RecentIds)

    def count_taken(self, stream: str, lines: Lines, unknown: int = 0) -> None:
        """Count what of one request is durable now, and the ``unknown`` fields that were left out."""
        if lines.lines:
            self.records[stream] += len(lines.lines)
        if lines.filtered:
            self.filtered[stream] += lines.filtered
        if lines.dropped:
            self.dropped[stream] += lines.dropped
        if unknown:
            self.unknown[stream] += unknown
        if lines.ids:
            self.repeated += self._ids.count_known(lines.ids)

    def copy(self) -> IntakeSums:
        """The sums at this moment."""
        return IntakeSums(
            requests=dict(self.requests),
            records=dict(self.records),
            filtered=dict(self.filtered),
            dropped=dict(self.dropped),
            switched_off=dict(self.switched_off),
            unknown=dict(self.unknown),
            refused=dict(self.refused),
            unrouted=dict(self.unrouted),
            repeated=self.repeated,
        )

    def count_unrouted(self, path: str, guard: SecretGuard) -> None:
        """Count one request for ``path``, which is none of ours."""
        name = OTHER if guard.found_in(path.encode()) else shown(path)
        known = name in self.unrouted or len(self.unrouted) < UNROUTED_MAX
        self.unrouted[name if known else OTHER] += 1
