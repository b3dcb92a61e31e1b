"""What a node packs into bundles, for whoever asks: a person, or the daemon's outbox."""

import shutil
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bridge.config.model import ONE_WAY, Config
from bridge.egress.mending import Mender
from bridge.egress.selection import Wanted, choose
from bridge.intake.switches import switched_off
from bridge.terminal import sized
from bridge.transfer.abandoned import clear_abandoned
from bridge.transfer.applying import still_wanted
from bridge.transfer.exporting import (
    MANIFEST_ROOM,
    Chosen,
    Exported,
    Exporter,
    Order,
    chosen,
    parted,
)
from bridge.transfer.manifest import name_of
from bridge.transfer.sources import DamagedSourceError
from bridge.transfer.ustar import BLOCK
from bridge.transfer.writing import failed
from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from spool.clock import Clock
from spool.discovery import discover
from spool.durable import OS_DISK, explained
from spool.errors import SpoolError
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.ranges import Range, shared
from spool.sealing import Sealer
from spool.streams import STREAMS


class Packer:
    """Packs what a node's lanes hold, by the books in ``ledger``."""

    def __init__(self, config: Config, signer: SigningKey, ledger: Ledger, clock: Clock) -> None:
        self._config = config
        self._signer = signer
        self._ledger = ledger
        self._clock = clock
        self.mended: list[str] = []
        """Members that were missing or damaged: their loss is declared, the rest goes on."""
        self.written: list[Exported] = []
        """Bundles that are whole and exported, whatever became of those after them."""

    def waiting(self, wanted: Wanted, *, dry_run: bool = False) -> list[Chosen]:
        """What of this node's lanes is wanted and held; what is damaged is mended before.

        Where nothing ever comes back, each bundle repeats what is in fewer than ``transfer.repeat``.
        Offline nobody else tells the ledger of what is new.
        Raises :class:`SpoolError` ``disk.*`` or :class:`VerificationError`.
        """
        try:
            for name in self._streams():
                discover(self._ledger, Lane(self._config.spool.path, self._config.node, name))
            if not dry_run:
                self._mend_missing(wanted)
        except OSError as error:
            raise explained(error, "read the segments") from error
        return self._mending(lambda: self._waiting(wanted), dry_run=dry_run)

    def _mending(self, find: Callable[[], list[Chosen]], *, dry_run: bool) -> list[Chosen]:
        """What ``find`` finds, once all that is damaged of it is mended."""
        while True:
            try:
                return find()
            except DamagedSourceError as error:
                # Of what is lost already, nothing is moved.
                if dry_run or error.name in self.mended:
                    raise
                self._mend(error)

    def _waiting(self, wanted: Wanted) -> list[Chosen]:
        spool, node = self._config.spool.path, self._config.node
        lanes = [Lane(spool, node, name) for name in self._streams()]
        repeats = self._config.transfer.receipts == ONE_WAY and State.EXPORTED not in wanted.states
        found: list[Chosen] = []
        try:
            found += self._of(lanes, wanted)
            if repeats:
                again = Wanted(
                    frozenset({State.EXPORTED}),
                    wanted.streams,
                    wanted.since,
                    wanted.until,
                    wanted.segments,
                )
                most = self._config.transfer.repeat
                found += [
                    each
                    for each in self._of(lanes, again)
                    if self._ledger.copies(each.lane, each.packed.seq) < most
                ]
        except OSError as error:
            raise explained(error, "read the segments") from error
        return sorted(found, key=lambda each: (each.packed.stream, each.packed.seq))

    def _streams(self) -> list[str]:
        """Those that are not switched off: what waits of the others is given up, not packed."""
        return sorted(set(STREAMS) - switched_off(self._config))

    def these(
        self, numbers: Mapping[str, Sequence[Range]], relay: str, *, dry_run: bool = False
    ) -> list[Chosen]:
        """The segments with these numbers, by stream, that are held, and that only ``relay`` is to get.

        Neither what was delivered nor what lies in bundles for another relay; what is damaged is
        mended before. Raises as :meth:`waiting` does.
        """
        return self._mending(lambda: self._these(numbers, relay), dry_run=dry_run)

    def _these(self, numbers: Mapping[str, Sequence[Range]], relay: str) -> list[Chosen]:
        spool, node = self._config.spool.path, self._config.node
        lanes = [Lane(spool, node, name) for name in self._streams() if name in numbers]
        try:
            return [
                each
                for lane in lanes
                for each in chosen(
                    lane, still_wanted(self._ledger, lane, numbers[lane.stream], relay)
                )
            ]
        except OSError as error:
            raise explained(error, "read the segments") from error

    def left_to_others(self, numbers: Mapping[str, Sequence[Range]], relay: str) -> int:
        """How many of these segments :meth:`these` leaves out, as another relay is to get them."""
        return sum(
            len(part)
            for stream, asked in numbers.items()
            for part in shared(
                asked,
                self._ledger.packed_for_others(
                    Lane(self._config.spool.path, self._config.node, stream), relay
                ),
            )
        )

    def for_others(self, found: Sequence[Chosen], relay: str) -> int:
        """How many records of ``found`` lie in bundles for others, and in none for ``relay``."""
        others = {
            lane: self._ledger.packed_for_others(lane, relay)
            for lane in {each.lane for each in found}
        }
        return sum(
            each.said.records
            for each in found
            if any(part.first <= each.packed.seq <= part.last for part in others[each.lane])
        )

    def pack(
        self,
        found: Sequence[Chosen],
        order: Order,
        progress: Callable[[int], None] = lambda _: None,
        *,
        dry_run: bool = False,
    ) -> list[Exported]:
        """Write ``found`` into as many bundles as it takes.

        Raises :class:`SpoolError` ``disk.full`` before anything is written, :class:`ConfigError`
        ``export.target`` where one file is named and it takes several, ``medium.failed``, and as
        :meth:`bridge.transfer.exporting.Exporter.export` does.
        """
        exporter = Exporter(self._ledger, self._signer, self._clock)
        parts = list(parted(found, order.size_max))
        total = sum(each.packed.size for each in found)
        try:
            if not dry_run:
                clear_abandoned(order.folder, order.sender, order.recipient)
            room = total + len(found) * (MANIFEST_ROOM + 2 * BLOCK)
            if not dry_run and room > shutil.disk_usage(order.folder).free:
                raise SpoolError(
                    "disk.full",
                    f"There is no room for {sized(total)} where the bundles go.",
                    "Use a larger medium, or choose less; nothing was written.",
                )
            if order.name is not None and len(parts) > 1:
                raise ConfigError(
                    "export.target",
                    f"It takes {len(parts)} bundles, and --to names one file.",
                    "Name a folder with --to.",
                )
            for part in parts:
                done = self._one(exporter, part, order, progress, dry_run=dry_run)
                self.written += [] if done is None else [done]
        except OSError as error:
            raise failed(error) from error
        return self.written

    def _one(
        self,
        exporter: Exporter,
        part: Sequence[Chosen],
        order: Order,
        progress: Callable[[int], None],
        *,
        dry_run: bool,
    ) -> Exported | None:
        """One bundle, without what turns out to be damaged; None where nothing else was in it."""
        while part:
            try:
                return exporter.export(part, order, progress, dry_run=dry_run)
            except DamagedSourceError as error:
                self._mend(error)
                part = [each for each in part if each.packed.name != error.name]
        return None

    def _mend(self, error: DamagedSourceError) -> None:
        _, node, stream, file = error.name.split("/")
        self._mender(Lane(self._config.spool.path, node, stream)).mend(int(file[:12]))
        self.mended.append(error.name)

    def _mend_missing(self, wanted: Wanted) -> None:
        """Declare what waits and has no file: no bundle will ever carry it."""
        for name in sorted(STREAMS):
            lane = Lane(self._config.spool.path, self._config.node, name)
            if not wanted.wants(lane):
                continue
            held = list(lane.sealed_numbers())
            for span in self._ledger.spans(lane, State.PENDING):
                seq = span.first
                for there in (*held[bisect_left(held, seq) :], span.last + 1):
                    if seq < min(there, span.last + 1):
                        self._mender(lane).mend(seq)
                        self.mended.append(name_of(lane.node, lane.stream, seq))
                    seq = there + 1
                    if seq > span.last:
                        break

    def _mender(self, lane: Lane) -> Mender:
        sealer = Sealer(OS_DISK, lane, self._signer, self._clock)
        return Mender(OS_DISK, sealer, self._ledger, self._clock)

    def _of(self, lanes: Sequence[Lane], wanted: Wanted) -> list[Chosen]:
        found: list[Chosen] = []
        for choice in choose(self._ledger, lanes, wanted, self._signer.own_keys):
            numbers = sorted(Range(each.first, each.last) for each in choice.stretches)
            found += chosen(choice.lane, numbers)
        return found


def order_for(config: Config, recipient: str, folder: Path, age: Sequence[str], note: str) -> Order:
    """What is to be done where nobody says more: bundles in ``folder``, of the usual size."""
    return Order(config.node, recipient, folder, None, SIZE_MAX, age, note)


SIZE_MAX = 4_000_000_000
"""Bytes of a bundle: what the oldest file systems of sticks take."""
