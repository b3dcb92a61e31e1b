"""How many bytes of records a request of one lane may hold: less once it was too much.

A proxy on the way takes a megabyte and no more, a line is too slow for four within the deadline: nobody
says so beforehand, and finding it out anew with each request would send everything several times. What
was refused for its size is not tried again until many that were smaller have been taken.
"""

LEAST = 4 * 1024
"""Bytes: smaller requests would hold a record or two; what is too large then is split by itself."""
GROW_AFTER = 32
"""Requests of nearly that size that were taken, after which twice as much is tried."""


class RequestSize:
    """The size of one lane's next request; at most ``most`` bytes of records."""

    def __init__(self, most: int) -> None:
        self._most = self.now = most
        self._taken = 0

    def too_large(self, size: int) -> None:
        """A request with ``size`` bytes of records was too large."""
        self.now = max(min(self.now, size // 2), min(LEAST, self._most))
        self._taken = 0

    def taken(self, size: int) -> None:
        """A request with ``size`` bytes of records was taken."""
        if self.now == self._most or 2 * size < self.now:
            return
        self._taken += 1
        if self._taken == GROW_AFTER:
            self.now = min(2 * self.now, self._most)
            self._taken = 0
