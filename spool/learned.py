"""What was learned from records that came before, so that the next of their kind are judged sooner."""

from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


LUCK_MAX = 300
"""Records that may fit before what is known is forgotten for those that do not."""


class Learned(Generic[_T]):
    """The ``most`` things learned last, the newest first; any thread may ask, and any may teach.

    To learn takes as long as to judge many records. So it is done for the first ``most`` that fit
    nothing known, as so many kinds may come in turn; again for as many once ``first`` have come, and
    half as often each time, down to every ``last``. To try in vain costs time too: what is known is
    forgotten, until it is time to learn again, where for each record that fits nothing there are not
    ``pays`` that fit something. So who sends something else each time gains nothing, and costs little.
    What two threads note at once may be noted once.

    ``learn`` gives None where there is nothing to be learned.
    """

    __slots__ = ("_due", "_last", "_learn", "_left", "_luck", "_most", "_pays", "_wait", "known")

    def __init__(
        self, learn: Callable[[bytes], _T | None], *, most: int, pays: int, first: int, last: int
    ) -> None:
        self._learn = learn
        self._most = most
        self._pays = pays
        self._wait = first
        self._last = last
        self._due = 0
        self._left = 0
        self._luck = 0
        self.known: tuple[_T, ...] = ()
        """Never changed, only replaced."""

    def fitted(self, count: int) -> None:
        """Note that so many records fitted something known."""
        if self._luck < LUCK_MAX:
            self._luck += count

    def missed(self, data: bytes) -> None:
        """Note that ``data``, which is good, fitted nothing known; learn from it if it is time to."""
        self._luck = min(self._luck, LUCK_MAX) - self._pays
        if self._luck < 0:
            self._luck = 0
            self.known = ()
        self._due -= 1
        if self._due <= 0:
            self._due = self._wait
            self._wait = min(2 * self._wait, self._last)
            self._left = self._most
        if self._left <= 0:  # below, where two threads took the last one
            return
        self._left -= 1
        found = self._learn(data)
        if found is not None:
            self.known = (found, *self.known[: self._most - 1])
            self._luck = LUCK_MAX
