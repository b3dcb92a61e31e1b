"""Takes in one file from a courier, whatever it is: a bundle on a relay, a return bundle on a node."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.config import Config
from bridge.config.licensekeys import LicenseKeys
from bridge.daemon.roomwatch import room_watch_for
from bridge.daemon.tokens import keeper_for
from bridge.license.judgement import Licensed
from bridge.terminal import counted, sized
from bridge.transfer.agefile import Secret
from bridge.transfer.applying import Applied, apply
from bridge.transfer.bundle import Bundle, ReturnBundle, opened
from bridge.transfer.importing import Importer, Outcome
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import BridgeError, VerificationError
from keys.trustfile import change_store
from keys.truststore import TRUST_NAME, TrustStore
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.durable import OS_DISK, explained
from spool.errors import SpoolError
from spool.lane import Lane, lanes
from spool.ledger import Ledger, Taken
from spool.ledger_reading import is_only_read
from spool.ranges import format_ranges
from spool.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a file; ``token_said`` tells what became of the token that came with it."""

    sender: str
    key: PublicKey
    outcome: Outcome | None = None
    applied: Applied | None = None
    token: bool = False
    token_said: str = ""

    @property
    def partly(self) -> bool:
        """Whether something of it was refused, is missing, or is a fork."""
        if self.outcome is not None:
            found = self.outcome
            return bool(
                found.refused or found.gaps or found.forks or found.unlinked or found.problems
            )
        told = self.applied
        return told is not None and bool(told.missing or told.foreign or told.forks)

    @property
    def nothing(self) -> bool:
        """Whether all that it holds was refused."""
        found = self.outcome
        return bool(found and found.refused and not (found.new or found.duplicate or found.forks))

    def answer(self, path: Path) -> Mapping[str, Any]:
        """As JSON."""
        found, applied = self.outcome or Outcome(), self.applied or Applied()
        return {
            "path": str(path),
            "kind": "bundle" if self.outcome is not None else "return",
            "ok": not self.partly,
            "from": self.sender,
            "key": self.key.id,
            "segments": {
                "new": found.new,
                "duplicate": found.duplicate,
                "refused": len(found.refused),
            },
            "gaps": [
                {"node": node, "stream": stream, "ranges": format_ranges(ranges)}
                for (node, stream), ranges in found.gaps.items()
            ],
            "forks": [
                {"node": each.node, "stream": each.stream, "seq": each.seq, "digest": each.digest}
                for each in found.forks
            ],
            "unlinked": [
                {"node": each.node, "stream": each.stream, "seq": each.seq, "digest": each.digest}
                for each in found.unlinked
            ],
            "receipts": {
                "delivered": applied.delivered,
                "quarantined": applied.quarantined,
                "pending": applied.pending,
                "missing": applied.missing,
            },
            "token": self.token,
            "problem": _first(
                [*(each.error for each in found.refused), *found.problems, *_foreign(applied)]
            ),
        }

    def lines(self, path: Path) -> Iterator[str]:
        """For people."""
        if self.outcome is not None:
            yield from self._taken(self.outcome, path)
        if self.applied is not None:
            yield from self._heard(self.applied, path)
        if self.token:
            yield f"  A license token came with it{self.token_said}."

    def _taken(self, found: Outcome, path: Path) -> Iterator[str]:
        yield (
            f"{path}: from {self.sender}, {counted(found.new, 'segment is', 'segments are')} new, "
            f"{counted(found.duplicate, 'was', 'were')} here already, "
            f"{counted(len(found.refused), 'is', 'are')} refused."
        )
        for problem in found.problems:
            yield f"  {problem.message} [{problem.id}]"
        for each in found.refused:
            yield f"  REFUSED {each.packed.name}: {each.error.message} [{each.error.id}]"
        for fork in found.forks:
            yield f"  FORK {fork.name}: another segment has its number; both are kept and sent."
        for odd in found.unlinked:
            yield f"  FORK {odd.name}: the segment before it here is not the one that it follows."
        for (node, stream), ranges in found.gaps.items():
            yield f"  GAP {node}/{stream}: the numbers {format_ranges(ranges)} never came."

    def _heard(self, told: Applied, path: Path) -> Iterator[str]:
        if told.stale:
            yield f"{path}: by relay {self.sender} (key {self.key.id[:16]})."
            yield "  It is no newer than one that was applied already: no record's state was changed."
            return
        delivered = counted(told.delivered, "more record is", "more records are")
        yield (
            f"{path}: by relay {self.sender} (key {self.key.id[:16]}), {delivered} delivered, "
            f"{told.quarantined} refused, {told.pending} on their way."
        )
        if told.missing:
            missing = counted(told.missing, "segment is", "segments are")
            yield f"  {missing} missing there; to pack again:"
            yield f"    bridge export --resend {path} --to DIR"
        for stream, seq in told.forks:
            yield (
                f"  FORK {stream} {seq}: another segment came there with this number; if no backup "
                "was restored here, somebody else seals in this node's name."
            )
        for stream, seq in told.foreign:
            yield f"  It speaks of {stream} {seq}, which is none of this node's segments."
        for problem in _foreign(told):
            yield f"  {problem.hint} [{problem.id}]"


def _foreign(applied: Applied) -> Iterator[VerificationError]:
    for stream, seq in applied.foreign[:1]:
        yield VerificationError(
            "receipt.foreign",
            f"The receipt speaks of {stream} {seq}, which is none of this node's segments.",
            "This spool was set back, or another machine has this node's name and key: look which.",
        )


def _first(errors: Sequence[BridgeError]) -> Mapping[str, str] | None:
    for error in errors:
        return {"id": error.id, "message": error.message, "hint": error.hint}
    return None


def follow_rotations(trust: TrustStore, found: Bundle | ReturnBundle, path: Path) -> TrustStore:
    """Trust the keys that took over from trusted ones, and keep that in ``path`` before all else.

    What a person revoked since ``trust`` was read counts. Raises :class:`VerificationError`
    ``rotation.*``, or :class:`OSError`.
    """
    sender = found.manifest.sender
    if trust.rotated(sender, found.rotations) == trust:
        return trust
    return change_store(path, lambda held: held.rotated(sender, found.rotations))


class Receiver:
    """Receives into the spool of ``config``, by the keys of ``trust``."""

    def __init__(
        self,
        config: Config,
        licenses: LicenseKeys,
        signer: SigningKey,
        ledger: Ledger,
        trust: TrustStore,
    ) -> None:
        self._config = config
        self._licenses = licenses
        self._signer = signer
        self._ledger = ledger
        self._trust = trust

    def receive(
        self,
        path: Path,
        secret: Secret | None,
        progress: Callable[[int], None] = lambda _: None,
        *,
        dry_run: bool = False,
    ) -> Received:
        """Verify and take in the file at ``path``.

        For a dry run the spool need not be one that may be written. Raises :class:`BridgeError` where
        nothing of it was taken, or :class:`OSError`.
        """
        spool = self._config.spool.path
        keep_free = self._config.spool.min_free
        only_read = dry_run and is_only_read(spool)
        folder = None if only_read else spool
        with opened(path, self._trust.keys_for, secret, folder, keep_free) as found:
            place = self._config.keys.path / TRUST_NAME
            if not dry_run and found.manifest.recipient == self._config.node:
                self._trust = follow_rotations(self._trust, found, place)
            trust = self._trust.rotated(found.manifest.sender, found.rotations)
            if isinstance(found, Bundle):
                if found.manifest.recipient == self._config.node and not only_read:
                    self._check_room(found)
                importer = Importer(spool, self._ledger, trust, self._config.node, OS_DISK)
                outcome = importer.take(found, progress, dry_run=dry_run)
                return Received(found.manifest.sender, found.signer, outcome)
            return self._return(found, dry_run=dry_run)

    def _check_room(self, found: Bundle) -> None:
        """Before a byte of it is written: a bundle that fills the spool would stop every producer."""
        spool = self._config.spool.path
        need = sum(
            each.size
            for each in found.manifest.members
            if self._ledger.taken(Lane(spool, *each.lane), each.seq, each.digest)
            is not Taken.DUPLICATE
        )
        try:
            left = max(0, room_watch_for(self._config).look().left)
        except OSError as error:
            raise explained(error, "look how much room there is") from error
        if need and need > left:
            raise SpoolError(
                "spool.no_room",
                f"What is new in the bundle has {sized(need)}; the spool may take {sized(left)}.",
                "Let it deliver what it holds, or raise spool.max_size; nothing was taken.",
            )

    def _return(self, found: ReturnBundle, *, dry_run: bool) -> Received:
        spool, node = self._config.spool.path, self._config.node
        for lane in lanes(spool):
            discover(self._ledger, lane)
        applied = apply(self._ledger, spool, node, found, SYSTEM_CLOCK, dry_run=dry_run)
        token_said = ""
        if not dry_run:
            for stream, seq in applied.ahead.items():  # this spool was set back
                lane = Lane(spool, node, stream)
                Sealer(OS_DISK, lane, self._signer, SYSTEM_CLOCK).settle_head(seq)
            for stream in applied.forked:
                lane = Lane(spool, node, stream)
                Sealer(OS_DISK, lane, self._signer, SYSTEM_CLOCK).leave_fork()
            keeper = keeper_for(self._config, self._signer)
            keeper.heard(node, found.receipt.made_at)
            if found.token is not None:
                licensed = Licensed.by(self._licenses.accepted(node))
                token = found.token.decode("ascii", "replace")
                token_said = keeper.took(node, token, "return", None, licensed).said
        return Received(
            found.manifest.sender,
            found.signer,
            applied=applied,
            token=found.token is not None,
            token_said=token_said,
        )
