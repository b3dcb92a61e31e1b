"""An answer that the ledger could not be told at once: it is kept, and not asked for again.

The beacon has taken the records, and a second request would bring it them a second time.
"""

from collections.abc import Callable

from bridge.egress.step import Step
from spool.errors import SpoolError

NO_BATCH = "ledger.no_batch"


class Untold:
    """The answer of one lane's last request, as the act that enters it; for one thread at a time."""

    def __init__(self) -> None:
        self._act: Callable[[], Step] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return self._act is not None

    def enter(self, act: Callable[[], Step] | None = None) -> Step:
        """Enter an answer by ``act``, or the one that is there; keep it where the ledger fails.

        Raises what ``act`` raises. One to a batch that somebody took away meanwhile is nobody's.
        """
        act, self._act = act or self._act, None
        assert act is not None  # noqa: S101 - asked where one is there
        try:
            return act()
        except SpoolError as error:
            if error.id != NO_BATCH:
                self._act = act
            raise
