"""Looking after the house while the daemon serves: what fails is said once, and tried again."""

from collections.abc import Callable

from bridge.daemon.housekeeping import Housekeeping
from bridge.egress.event import Event
from keys.errors import BridgeError
from spool.durable import explained
from spool.ledger import Ledger


class Keeping:
    """Keeps ``house`` and the ``ledger`` in its place, at each :meth:`look`."""

    def __init__(self, house: Housekeeping, ledger: Ledger, tell: Callable[[Event], None]) -> None:
        self._house = house
        self._ledger = ledger
        self._tell = tell
        self._failed = ""

    def look(self) -> None:
        """Look after open files, and whether the ledger is the one that others open.

        Raises :class:`SpoolError` ``ledger.vanished``, or :class:`OSError` where that cannot be seen.
        """
        self._ledger.check_in_place()  # what is written to one that nobody sees is lost
        try:
            self._house.look()
            self._failed = ""
        except (OSError, BridgeError) as error:
            problem = (
                explained(error, "look after open files") if isinstance(error, OSError) else error
            )
            if problem.message != self._failed:
                self._failed = problem.message
                self._tell(Event("house.failed", problem.message))
