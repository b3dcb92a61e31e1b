"""What came in since the start, counted for the status and the metrics.

Names in here come from outside. There is a bounded number of them, they are printable, and none holds
a license key that this process knows.
"""

from collections import Counter
from dataclasses import dataclass, field

from keys.errors import shown
from spool.secrets import SecretGuard

UNROUTED_MAX = 64
"""Different paths that are told apart; customer traffic has one for each of its objects."""
OTHER = "other"
"""Where every further path is counted, and one that holds a secret."""


@dataclass(slots=True)
class IntakeCounts:
    """Requests by path (ours alone), records by stream, refusals by id, unrouted by shown path."""

    requests: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unrouted: Counter[str] = field(default_factory=Counter)

    def count_unrouted(self, path: str, guard: SecretGuard) -> None:
        """Count one request for ``path``, which is none of ours."""
        name = OTHER if guard.found_in(path.encode()) else shown(path)
        known = name in self.unrouted or len(self.unrouted) < UNROUTED_MAX
        self.unrouted[name if known else OTHER] += 1
