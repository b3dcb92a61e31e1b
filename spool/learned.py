"""What was learned from records that came before, so that the next of their kind are judged sooner."""

from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Learned(Generic[_T]):
    """The few things learned last, the newest first; any thread may ask, and any may teach.

    To learn takes as long as to judge many records. So it is done for the first one that fits nothing
    known, and then for one in ``every`` of them: who sends something else each time gains nothing, and
    costs little. What two threads note at once may be noted once.
    """

    __slots__ = ("_every", "_missed", "_most", "known")

    def __init__(self, most: int, every: int) -> None:
        self._most = most
        self._every = every
        self._missed = 0
        self.known: tuple[_T, ...] = ()
        """Never changed, only replaced."""

    def missed(self, learn: Callable[[bytes], _T | None], data: bytes) -> None:
        """Note that ``data``, which is good, fitted nothing known; learn from it if it is time to.

        ``learn`` gives None where there is nothing to be learned.
        """
        if self._missed % self._every == 0:
            found = learn(data)
            if found is not None:
                self.known = (found, *self.known[: self._most - 1])
        self._missed += 1
