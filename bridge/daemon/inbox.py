"""A folder that a courier fills: what is put there is imported, and renamed to what became of it.

A file is taken when it has not changed between two looks: it may still be copied. Afterwards it ends
with ``.imported`` or ``.refused``; nothing is deleted. A copy may rest for longer than that on a slow
medium, so nothing is refused before it has lain still for a minute.
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
from bridge.transfer.bundle import ENDINGS
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, VerificationError
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import Clock
from spool.ledger import Ledger

REFUSED_AFTER_S = 60.0
"""Seconds that a file has lain still before it is refused."""


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
        self._clock = clock
        self._licenses = licenses
        self._moved = moved
        self._tell_seen = seen
        self._seen: dict[Path, tuple[int, int]] = {}
        self._since: dict[Path, float] = {}
        """Since when they are as they were seen."""
        self._odd: set[tuple[Path, tuple[int, int]]] = set()
        """What is no bundle, and may still become one."""
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
                if ending is not None:
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
        now = self._clock.monotonic()
        self._since = {
            path: self._since[path] if self._seen.get(path) == mark else now
            for path, mark in found.items()
        }
        self._seen = found
        self._stays &= found.items()
        self._odd &= found.items()
        waiting = self._stays | {each for each in self._odd if not self._lies_still(each[0])}
        return [path for path in ready if (path, found[path]) not in waiting]

    def _lies_still(self, path: Path) -> bool:
        """Whether nobody copies it any more."""
        return self._clock.monotonic() - self._since[path] >= REFUSED_AFTER_S

    def _take(self, path: Path) -> str | None:
        """What its name is to end with from now on; None for what may still be copied.

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
            if not self._lies_still(path):
                self._odd.add((path, self._seen[path]))
                return None
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
