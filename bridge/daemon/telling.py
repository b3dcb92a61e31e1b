"""What happens in the daemon, as lines of its log: each event has a level."""

import logging

from bridge.egress.event import Event
from bridge.operate.logs import log

_LEVELS = {
    "spool.gap": logging.ERROR,
    "spool.file_gone": logging.ERROR,
    "spool.quarantined": logging.ERROR,
    "record.refused": logging.ERROR,
    "spool.dropped": logging.ERROR,
    "spool.filling": logging.ERROR,
    "spool.kept": logging.WARNING,
    "spool.retention": logging.ERROR,
    "admin.listen": logging.WARNING,
    "admin.failed": logging.ERROR,
    "transfer.refused": logging.ERROR,
    "transfer.inbox": logging.ERROR,
    "transfer.outbox": logging.ERROR,
    "egress.down": logging.WARNING,
    "egress.paused": logging.ERROR,
    "lane.failed": logging.ERROR,
    "house.failed": logging.ERROR,
    "intake.untold": logging.WARNING,
    "config.refused": logging.ERROR,
    "tls.refused": logging.ERROR,
    "tls.expiring": logging.WARNING,
    "tls.expired": logging.ERROR,
    "tls.untold": logging.WARNING,
    "intake.silent": logging.WARNING,
    "intake.unseen": logging.WARNING,
    "daemon.stalled": logging.CRITICAL,
    "daemon.broken": logging.CRITICAL,
    "daemon.moves": logging.WARNING,
    "daemon.left": logging.WARNING,
    "daemon.untold": logging.WARNING,
    "notify.failed": logging.WARNING,
    "ledger.rebuilt": logging.ERROR,
    "license.problem": logging.ERROR,
    "license.failed": logging.ERROR,
    "license.anchors_lost": logging.WARNING,
}


def tell(event: Event) -> None:
    """An event as a line of the log."""
    log(event.name, event.message, event.fields, level=_LEVELS.get(event.name, logging.INFO))
