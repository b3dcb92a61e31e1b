"""How long to wait before the next try: full jitter, so that nobody comes back at the same second."""

from random import Random

STEP_S = 1.0
"""Seconds at most before the first retry; it doubles with each one after."""
LONGEST_S = 60.0
"""Seconds at most before any retry."""
_EXPONENT_MAX = 16


class Backoff:
    """Counts failures in a row; make a new one after a success."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def failed(self, floor_s: float | None = None) -> float:
        """Seconds to wait after one more failure, at least ``floor_s``.

        Above a floor the jitter still applies: many were told the same.
        """
        longest = min(LONGEST_S, STEP_S * 2.0 ** min(self._failures, _EXPONENT_MAX))
        self._failures += 1
        return (floor_s or 0.0) + self._random.uniform(0.0, longest)
