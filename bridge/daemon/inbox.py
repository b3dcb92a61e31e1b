"""A folder that a courier fills: what is put there is imported, and renamed to what became of it.

A file is taken when it has not changed between two looks: it may still be copied. Afterwards it ends
with ``.imported`` or ``.refused``; nothing is deleted.
"""

from collections.abc import Callable
from pathlib import Path

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.daemon.receiving import Receiver
from bridge.egress.event import Event
from bridge.transfer.agefile import IDENTITY_NAME, read_identity
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, VerificationError
from keys.truststore import TRUST_NAME, TrustStore
from spool.durable import explained
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
        self._said = ""

    def look(self) -> bool:
        """Import what lies there; whether anything did."""
        folder = self._config.transfer.inbox
        if folder is None:
            return False
        try:
            ready = self._ready(folder)
        except OSError as error:
            self._say(explained(error, "look into the inbox").message)
            return False
        for path in ready:
            self._take(path)
        return bool(ready)

    def _ready(self, folder: Path) -> list[Path]:
        """The files that are as they were at the last look."""
        found = {}
        for path in sorted(folder.iterdir()):
            if path.name.endswith(ENDINGS):
                status = path.lstat()
                found[path] = (status.st_size, status.st_mtime_ns)
        ready = [path for path, mark in found.items() if self._seen.get(path) == mark]
        if found != self._seen:
            self._tell_seen()
        self._seen = found
        return ready

    def _take(self, path: Path) -> None:
        keys = self._config.keys.path
        fields: dict[str, object] = {"file": path.name}
        try:
            trust = TrustStore.load(keys / TRUST_NAME)
            identity = keys / IDENTITY_NAME
            secret = read_identity(identity) if identity.exists() else None
            licenses = self._licenses()
            receiver = Receiver(self._config, licenses, self._signer, self._ledger, trust)
            found = receiver.receive(path, secret, self._moved)
        except VerificationError as error:
            self._tell(Event("transfer.refused", error.message, fields | {"error": error.id}))
            self._rename(path, "refused")
        except BridgeError as error:
            # This machine's fault, not the file's: it is tried again, once that is mended.
            self._say(f"{error.message} {error.hint}")
        except OSError as error:
            # The medium may have been taken out: the same file is tried again when it is back.
            self._say(explained(error, "import a bundle").message)
        else:
            self._said = ""
            for line in found.lines(path):
                self._tell(Event("transfer.imported", line, fields | {"from": found.sender}))
            self._rename(path, "refused" if found.nothing else "imported")

    def _rename(self, path: Path, ending: str) -> None:
        target, count = path.with_name(f"{path.name}.{ending}"), 1
        while target.exists():  # nothing is deleted
            count += 1
            target = path.with_name(f"{path.name}.{count}.{ending}")
        try:
            path.rename(target)
        except OSError as error:
            self._say(explained(error, "rename what was imported").message)

    def _say(self, message: str) -> None:
        if message != self._said:
            self._said = message
            self._tell(Event("transfer.inbox", message))
