"""A folder that a courier fills: what is put there is imported, and renamed to what became of it.

A file is taken when it has not changed between two looks: it may still be copied. Afterwards it ends
with ``.imported`` or ``.refused``; nothing is deleted.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.daemon.courierfolder import CourierFolder
from bridge.daemon.receiving import Receiver
from bridge.egress.event import Event
from bridge.transfer.agefile import IDENTITY_NAME, read_identity
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, VerificationError
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import Clock
from spool.ledger import Ledger

ENDINGS = (".agb", ".agr", ".agb.age", ".agr.age")
"""What a bundle's name ends with."""


class Inbox:
    """The folder ``transfer.inbox``; :meth:`look` is called every few seconds.

    ``licenses`` gives those of now. ``moved`` is called with the bytes that were read, and may raise to
    end the work: the file is then imported by a later look. ``seen`` is called when something else lies
    there than before.
    """

    def __init__(
        self,
        config: Config,
        signer: SigningKey,
        ledger: Ledger,
        clock: Clock,
        tell: Callable[[Event], None],
        *,
        licenses: Callable[[], LicenseKeys],
        moved: Callable[[int], None] = lambda _: None,
        seen: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._signer = signer
        self._ledger = ledger
        self._tell = tell
        self._licenses = licenses
        self._moved = moved
        self._tell_seen = seen
        self._seen: dict[Path, tuple[int, int]] = {}
        self._stays: set[tuple[Path, tuple[int, int]]] = set()
        """What was taken and could not be renamed: a medium may be read-only."""
        self._folder = CourierFolder("inbox", config.spool.path, clock, tell)

    def look(self) -> bool:
        """Import what lies there; whether anything did."""
        folder = self._config.transfer.inbox
        if folder is None:
            return False
        if not self._folder.begins():
            return False
        try:
            ready = self._ready(folder)
        except FileNotFoundError as error:
            self._folder.missing(error)
            return False
        except OSError as error:
            self._folder.refused(error, "look into the inbox")
            return False
        taken, failed = 0, False
        for path in ready:
            try:
                ending = self._take(path)
                taken += 1
                self._rename(path, ending)
            except OSError as error:
                # The medium may have been taken out: the same file is tried again when it is back.
                self._folder.refused(error, "import what lies in the inbox")
                failed = True
            except BridgeError as error:
                # This machine's fault, not the file's: it is tried again, once that is mended.
                self._folder.failed(error)
                failed = True
        if not failed:
            self._folder.done()
        return taken > 0

    def _ready(self, folder: Path) -> list[Path]:
        """The files that are as they were at the last look, and not done with."""
        found = {}
        for path in sorted(folder.iterdir()):
            if path.name.endswith(ENDINGS):
                with suppress(FileNotFoundError):  # it was taken away since
                    found[path] = _mark(path)
        ready = [path for path, mark in found.items() if self._seen.get(path) == mark]
        if found != self._seen:
            self._tell_seen()
        self._seen = found
        self._stays &= found.items()
        return [path for path in ready if (path, found[path]) not in self._stays]

    def _take(self, path: Path) -> str:
        """What its name is to end with from now on.

        Raises :class:`BridgeError` or :class:`OSError` for what is not the file's fault.
        """
        keys = self._config.keys.path
        fields: dict[str, object] = {"file": path.name}
        trust = TrustStore.load(keys / TRUST_NAME)
        identity = keys / IDENTITY_NAME
        secret = read_identity(identity) if identity.exists() else None
        licenses = self._licenses()
        receiver = Receiver(self._config, licenses, self._signer, self._ledger, trust)
        try:
            found = receiver.receive(path, secret, self._moved)
        except VerificationError as error:
            self._tell(Event("transfer.refused", error.message, fields | {"error": error.id}))
            return "refused"
        for line in found.lines(path):
            self._tell(Event("transfer.imported", line, fields | {"from": found.sender}))
        return "refused" if found.nothing else "imported"

    def _rename(self, path: Path, ending: str) -> None:
        target, count = path.with_name(f"{path.name}.{ending}"), 1
        try:
            while target.exists():  # nothing is deleted
                count += 1
                target = path.with_name(f"{path.name}.{count}.{ending}")
            path.rename(target)
        except OSError:
            self._stays.add((path, self._seen[path]))
            raise


def _mark(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size, and when it was written to."""
    status = path.lstat()
    return status.st_size, status.st_mtime_ns
