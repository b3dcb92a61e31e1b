"""The parts of a running daemon, as its main thread looks after them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bridge.daemon.admin import AdminServer
from bridge.daemon.certwatch import CertificateWatch
from bridge.daemon.courier import Courier
from bridge.daemon.glancing import Glance
from bridge.daemon.gonefiles import GoneFiles
from bridge.daemon.housekeeping import Housekeeping
from bridge.daemon.licensing import Licensing
from bridge.daemon.retaining import Retaining
from bridge.daemon.serving import Serving
from bridge.daemon.telling import tell
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from bridge.egress.watcher import HeadWatcher
from spool.durable import OS_DISK


@dataclass(frozen=True, slots=True)
class Running:
    """What runs; None for what the configuration leaves out."""

    house: Housekeeping
    serving: Serving
    retaining: Retaining
    licensing: Licensing
    courier: Courier
    admin: AdminServer | None
    engine: Engine | None
    watcher: HeadWatcher | None
    certificate: CertificateWatch | None

    def check(self) -> None:
        """Nothing, while no thread has ended; else raise what ended it."""
        broken = (
            self.serving.server.broken
            or self.serving.room.broken
            or self.retaining.broken
            or self.licensing.broken
            or self.courier.broken
            or (None if self.admin is None else self.admin.broken)
            or (None if self.engine is None else self.engine.broken)
        )
        if broken is not None:
            message = "A part of the bridge has failed; the bridge stops."
            tell(Event("daemon.broken", message, {"error": type(broken).__name__}))
            raise broken

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody waits for the next beat: no open file, no failure, and events come."""
        return (
            self.house.is_at_rest
            and (self.engine is None or self.engine.is_at_rest)
            and not (self.certificate is not None and self.certificate.is_due())
            and self.serving.room.is_readable
            and not self.retaining.is_troubled
            and (self.watcher is None or self.watcher.hears(self._folders()))
        )

    def glance(self, spool: Path) -> Glance:
        """What sees new heads and open files, a request to send, and what others did to the ledger."""
        folders = self._folders()
        opens = [folder / "open" for folder in folders]
        paths = [spool, spool / "ledger.db-wal", *folders, *opens]
        return Glance(str(spool), [str(path) for path in paths])

    def looks(self, spool: Path) -> Iterator[Callable[[], None]]:
        """What is to be called at each look around."""
        yield self.licensing.glance
        yield GoneFiles(self.serving.writers, spool, disk=OS_DISK, tell=tell).look
        if self.engine is not None:
            yield self.engine.glance
        if self.certificate is not None:
            yield self.certificate.look
        if self.watcher is not None:
            # Each time: a folder that was made anew has to be followed anew.
            for folder in (spool, *self._folders()):
                yield partial(self.watcher.follow, folder)

    def looks_at_room(self) -> Iterator[Callable[[], None]]:
        """What is to be called where the disk has another room, and at each look around."""
        yield self.serving.room.glance
        yield self.retaining.glance

    def dues(self) -> Iterator[Callable[[], bool]]:
        """What says that a look around is due."""
        if self.certificate is not None:
            yield self.certificate.is_due

    def _folders(self) -> list[Path]:
        return [sealer.lane.folder for sealer in self.house.sealers.values()]
