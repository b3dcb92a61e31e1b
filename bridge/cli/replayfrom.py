"""What ``bridge replay --from`` takes: a bundle, in the books once, however often it is given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.peers import identity_of, trust_of
from bridge.cli.session import Session
from keys.ed25519 import PublicKey
from keys.errors import ConfigError, VerificationError
from keys.truststore import TRUST_NAME
from spool.errors import RecordError

if TYPE_CHECKING:
    from bridge.transfer.bundle import Bundle
    from bridge.transfer.importing import Outcome
    from bridge.transfer.manifest import Manifest
    from keys.rotation import Rotation
    from spool.ranges import Range

Numbers = Mapping[tuple[str, str], "Sequence[Range]"]
"""Numbers by node and stream."""
STATES = ("pending", "exported", "quarantined", "lost")
"""What of a bundle is sent without more being said: everything but what was delivered."""


def take_in(
    session: Session, path: Path, *, yes: bool, dry_run: bool
) -> "tuple[Outcome | None, Numbers]":
    """Take into the spool what is new of the bundle at ``path``, and say which numbers it holds.

    A bundle of this very node holds what is in the books already: nothing is taken in. Raises
    :class:`VerificationError` as ``bridge import`` does, :class:`RecordError` ``replay.recipient``, or
    :class:`ConfigError` ``replay.bundle``.
    """
    from bridge.daemon.receiving import follow_rotations
    from bridge.transfer.bundle import Bundle, opened
    from bridge.transfer.importing import Importer
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import OS_DISK, make_folders
    from spool.ledger import Ledger
    from spool.ledger_reading import is_only_read

    config, trust = session.config, trust_of(session)
    own = session.signing_key.own_keys

    def keys(role: str, name: str, rotations: "Sequence[Rotation]") -> Mapping[str, PublicKey]:
        return own if name == config.node else trust.keys_for(role, name, rotations)

    only_read = dry_run and is_only_read(config.spool.path)
    if not only_read:
        make_folders(OS_DISK, config.spool.path, config.spool.path)
    try:
        secret, spool = identity_of(session, None), config.spool
        folder = None if only_read else spool.path
        with opened(path, keys, secret, folder, spool.min_free) as found:
            if not isinstance(found, Bundle):
                raise ConfigError(
                    "replay.bundle",
                    "It is a return bundle: it holds a receipt and no records.",
                    "Take it in with bridge import.",
                )
            numbers = _numbers(found.manifest)
            if found.manifest.sender == config.node:
                return None, numbers
            _check_recipient(found, config.node, yes=yes or dry_run)
            opening = Ledger.open_on_trial if dry_run else Ledger.open
            with opening(config.spool.path, clock=SYSTEM_CLOCK) as ledger:
                if dry_run:
                    rotated = trust.rotated(found.manifest.sender, found.rotations)
                else:  # what is sent is verified again, by the keys that are kept
                    rotated = follow_rotations(trust, found, config.keys.path / TRUST_NAME)
                importer = Importer(
                    config.spool.path, ledger, rotated, found.manifest.recipient, OS_DISK
                )
                return importer.take(found, dry_run=dry_run), numbers
    except OSError as error:
        raise VerificationError(
            "file.unreadable",
            f"The bundle cannot be read: {error.strerror}.",
            "Look at the path and at the medium; the replay can be repeated.",
        ) from error


def _numbers(told: "Manifest") -> Numbers:
    return {(lane.node, lane.stream): lane.ranges for lane in told.lanes}


def _check_recipient(found: "Bundle", name: str, *, yes: bool) -> None:
    recipient = found.manifest.recipient
    if recipient != name and not yes:
        raise RecordError(
            "replay.recipient",
            f"The bundle is for {recipient}; if that relay sends it too, it is sent twice.",
            "Add --yes if that relay will not.",
        )
