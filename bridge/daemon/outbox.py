"""A folder that a courier empties: what waits is packed into it by schedule, and taken back.

Offline, and where nothing ever comes back, something is packed every ``transfer.every``. Online only
what has waited ``transfer.after`` while egress was away; when egress is there again, what still lies in
the folder goes back to pending, and its files go. So a courier has to move bundles, not copy them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bridge.config import Config
from bridge.daemon.courierfolder import CourierFolder
from bridge.daemon.packing import Packer, order_for
from bridge.daemon.sealingall import seal_all
from bridge.egress.event import Event
from bridge.egress.selection import Wanted, choose, send_again
from bridge.transfer.exporting import Exported
from bridge.transfer.peer import peer_for
from bridge.transfer.slip import drop_slip
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, ConfigError, shown
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import Clock
from spool.discovery import news_mark, said_by
from spool.egressfile import FLOWING, read_egress_state
from spool.lane import Lane
from spool.ledger import Ledger, State, Written
from spool.openfile import open_files
from spool.streams import STREAMS

_NOTE = "packed by the daemon"
_WITHDRAWN = ".withdrawn"
"""Ending of a file that no courier is to take any more."""


class Outbox:
    """The folder ``transfer.outbox``; :meth:`look` is called every few seconds.

    ``moved`` is called with the bytes that a bundle grows by, and may raise to end the work.
    """

    def __init__(
        self,
        config: Config,
        signer: SigningKey,
        ledger: Ledger,
        clock: Clock,
        tell: Callable[[Event], None],
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._signer = signer
        self._ledger = ledger
        self._clock = clock
        self._tell = tell
        self._moved = moved
        self._lanes = [Lane(config.spool.path, config.node, name) for name in STREAMS]
        self._news_before: object = None
        self._nothing_in: object = None
        """The news in which nothing was found to pack."""
        self._folder = CourierFolder("outbox", config.spool.path, clock, tell)

    def look(self) -> bool:
        """Pack or take back, if it is time; whether something became pending."""
        folder = self._config.transfer.outbox
        if folder is None:
            return False
        if not self._folder.begins():
            return False
        try:
            taken = self._is_up() and self._take_back(folder)
            if self._is_due(folder):
                self._pack(folder)
        except OSError as error:
            self._folder.refused(error, "fill the outbox")
        except BridgeError as error:
            self._folder.failed(error)
        else:
            self._folder.done()
            return taken
        return False

    def _is_up(self) -> bool:
        if self._config.egress.mode == "offline":
            return False
        said = read_egress_state(self._config.spool.path)
        return said is not None and said.state in FLOWING

    def _is_due(self, folder: Path) -> bool:
        at, transfer = self._clock.wall_ms(), self._config.transfer
        last = self._ledger.last_bundle_in(str(folder))
        # A clock that was set back is no reason to wait for the time that it had.
        if last is not None and last <= at < last + transfer.every:
            return False
        if self._config.egress.mode == "offline":
            return True
        return not self._is_up() and any(
            at - since >= transfer.after for since in self._waiting_since()
        )

    def _waiting_since(self) -> Iterator[int]:
        """When the first record that waits was taken, lane by lane; ms since 1970 UTC."""
        for each in self._ledger.counts():
            if each.node == self._config.node and each.first_pending is not None:
                said = said_by(
                    Lane(self._config.spool.path, each.node, each.stream), each.first_pending
                )
                if said is not None and said.first_at is not None:
                    yield said.first_at

    def _in(self, folder: Path) -> list[Written]:
        return [
            each
            for each in self._ledger.bundles()
            # Ledgers of before have the folder as the path.
            if folder in (Path(each.path), Path(each.path).parent)
        ]

    def _pack(self, folder: Path) -> None:
        news = self._news()
        if news is not None and news == self._nothing_in:
            return
        # Times are coarse: what came in the moment of the news is found at the next look.
        is_still, self._news_before = news == self._news_before, news
        config = self._config
        trust = TrustStore.load(config.keys.path / TRUST_NAME)
        peer = peer_for(trust, config.transfer.outbox_for, (), plain=False)
        if peer.role != "relay":
            raise ConfigError(
                "export.for",
                f"{shown(peer.name)} is trusted as a node, and is no relay.",
                "Name a relay in transfer.outbox_for; see bridge keys list.",
            )
        seal_all(config, self._signer)
        packer = Packer(config, self._signer, self._ledger, self._clock)
        found = packer.waiting(Wanted(frozenset({State.PENDING})))
        self._nothing_in = news if is_still and not found else None
        if not found:
            return
        folder.mkdir(exist_ok=True)
        order = order_for(config, peer.name, folder, peer.age, _NOTE)
        for each in packer.pack(found, order, self._moved):
            self._tell(_packed(each))
        for name in packer.mended:
            message = "A segment is missing or damaged; the loss is declared."
            self._tell(Event("spool.gap", message, {"segment": name}))

    def _news(self) -> object:
        """What is another one whenever something came to be packed; None while a file is open."""
        if any(map(open_files, self._lanes)):
            return None
        return self._ledger.mark(), [news_mark(lane) for lane in self._lanes]

    def _take_back(self, folder: Path) -> bool:
        """Make pending what lies in the folder still; the files go after the ledger knows."""
        taken = False
        lies = any(path.suffix != ".txt" for path in folder.glob("*.agb*"))
        for written in self._in(folder) if lies else ():
            held = self._held_back(folder, written)
            if not held:
                continue
            wanted = Wanted(
                frozenset({State.EXPORTED}), segments=self._ledger.packed(written.serial)
            )
            for choice in choose(self._ledger, self._lanes, wanted, self._signer.own_keys):
                send_again(self._ledger, choice)
                taken = True
            for path in held:
                with suppress(FileNotFoundError):
                    path.unlink()
                drop_slip(path.with_suffix(""))
            message = "Egress is back: a bundle that nobody took is sent instead."
            self._tell(Event("transfer.withdrawn", message, {"serial": written.serial}))
        return taken

    def _held_back(self, folder: Path, written: Written) -> list[Path]:
        """The files of a bundle, out of the courier's hands by another name, if he has not got it.

        Whoever moves one away at the same moment has it, and then it stays exported.
        """
        name = f"{self._config.node}-to-{written.recipient}-{written.serial:06d}.agb"
        held = []
        for path in (folder / name, folder / f"{name}.age"):
            back = path.with_name(path.name + _WITHDRAWN)
            with suppress(FileNotFoundError):
                path.rename(back)
            if os.path.lexists(back):  # also what a crash left
                held.append(back)
        return held


def _packed(done: Exported) -> Event:
    records = sum(lane.records for lane in done.manifest.lanes)
    fields: dict[str, object] = {
        "file": done.path.name,
        "records": records,
        "segments": len(done.manifest.members),
        "to": done.manifest.recipient,
    }
    return Event("transfer.packed", "A bundle waits for the courier.", fields)
