"""The ledger, told first of all that is new in the spool."""

from typing import TYPE_CHECKING

from bridge.cli.session import Session

if TYPE_CHECKING:
    from spool.ledger import Ledger


def ledger_of(session: Session, *, dry_run: bool = False) -> "Ledger":
    """Open it, for a ``dry_run`` also where it may not be written; raises :class:`SpoolError`."""
    from spool.clock import SYSTEM_CLOCK
    from spool.discovery import discover
    from spool.durable import explained
    from spool.lane import lanes
    from spool.ledger import Ledger

    spool = session.config.spool.path
    opening = Ledger.open_on_trial if dry_run else Ledger.open
    ledger = opening(spool, clock=SYSTEM_CLOCK)
    try:
        for lane in lanes(spool):
            discover(ledger, lane)
    except OSError as error:
        ledger.close()
        raise explained(error, "see what the spool holds") from error
    except BaseException:
        ledger.close()
        raise
    return ledger
