"""A copy of a ledger that may not be written, for a dry run: told what is new, and gone afterwards.

What a command would do is decided by what the ledger says once it knows what is new. Where nothing can
be entered, that is entered in a copy, which lies where temporary files lie.
"""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from spool.durable import explained
from spool.ledger_db import Database
from spool.ledger_file import NAME
from spool.ledger_reading import open_file_to_read
from spool.locks import let_go


class TrialCopy(Database):
    """An open copy, deleted when it is closed."""

    def __init__(self, folder: "TemporaryDirectory[str]") -> None:
        self._folder = folder
        super().__init__(Path(folder.name) / NAME)

    def close(self) -> None:
        """Close it, and leave nothing behind."""
        try:
            super().close()
        finally:
            self._folder.cleanup()


def open_copy(spool: Path) -> TrialCopy:
    """A copy of the ledger of ``spool`` as it is now.

    Raises as :func:`~spool.ledger_reading.open_file_to_read` does.
    """
    database, lock = open_file_to_read(spool)
    try:
        folder = TemporaryDirectory(prefix="airgap-bridge-")
        try:
            with closing(database):
                database.copy_to(Path(folder.name) / NAME)
            return TrialCopy(folder)
        except BaseException:
            folder.cleanup()
            raise
    except OSError as error:
        raise explained(error, "copy the ledger") from error
    finally:
        if lock is not None:
            let_go(lock)
