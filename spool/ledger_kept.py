"""Ledgers that were put aside, read for what they still say of what left.

They are kept for ever beside the one in use, and are only read. Most were damaged: what can be read
is given, then the error is raised.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from spool.ledger_audit import AuditRow, read_audit
from spool.ledger_bundles import Packed, Written, read_bundles, read_packed
from spool.ledger_db import connect
from spool.ledger_errors import translated
from spool.ledger_file import NAME
from spool.ledger_reading import access_to
from spool.ledger_seen import Seen, read_seen

_KEPT = re.compile(re.escape(NAME) + r"\.[0-9T:.Z-]{24}\.bad\Z")
_PAGE = 1000
"""Rows read at once."""


def kept_ledgers(spool: Path) -> list[Path]:
    """The ledgers of ``spool`` that were put aside, oldest first; nothing is opened."""
    return sorted(path for path in spool.iterdir() if _KEPT.match(path.name))


def kept_audit(path: Path, since: int = 0) -> Iterator[AuditRow]:
    """Every answered request in the kept ledger ``path`` from ``since`` (ms since 1970 UTC) on.

    Raises :class:`~spool.errors.SpoolError` ``ledger.*`` where it cannot be read any further.
    """
    with translated(path), closing(connect(path, access_to(path))) as connection:
        above = 0
        while page := read_audit(connection, since, above, _PAGE):
            yield from page
            above = page[-1].id


def kept_bundles(path: Path) -> Iterator[tuple[Written, Packed]]:
    """Every bundle in the kept ledger ``path`` that was written, with what is in it.

    Raises as :func:`kept_audit` does.
    """
    with translated(path), closing(connect(path, access_to(path))) as connection:
        for bundle in read_bundles(connection):
            yield bundle, read_packed(connection, bundle.serial)


def kept_seen(path: Path, since: int = 0) -> list[Seen]:
    """What a person had seen by the kept ledger ``path`` from ``since`` (ms) on; raises likewise."""
    with translated(path), closing(connect(path, access_to(path))) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'seen'").fetchone()
        return read_seen(connection, since) if known else []
