"""What ``bridge export`` packs once more: what a return bundle asks for, and what others may bring."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.peers import identity_of, trust_of
from bridge.cli.session import Session
from bridge.terminal import counted
from keys.errors import ConfigError

if TYPE_CHECKING:
    from bridge.daemon.packing import Packer
    from bridge.transfer.exporting import Chosen
    from bridge.transfer.peer import Peer
    from spool.ranges import Range


def asked_again(
    session: Session, packer: "Packer", path: Path, other: "Peer", *, dry_run: bool
) -> "list[Chosen]":
    """What the return bundle at ``path`` asks for, and no other relay is to bring."""
    asked = _asked_for(session, path)
    if left := packer.left_to_others(asked, other.name):
        session.note(
            f"{counted(left, 'segment that it asks for is', 'segments that it asks for are')} "
            "in bundles for another relay, and not packed. If those never arrived: "
            f"bridge export --again --for {other.name} --to DIR"
        )
    return packer.these(asked, other.name, dry_run=dry_run)


def say_twice(session: Session, records: int) -> None:
    """Say how many records are packed that another relay may send, too."""
    if records:
        session.note(
            f"{counted(records, 'record of it is', 'records of it are')} in a bundle for "
            "another relay, too: if both send them, the beacon gets them twice."
        )


def _asked_for(session: Session, path: Path) -> "Mapping[str, Sequence[Range]]":
    """The numbers, by stream, that the relay's receipt says it never got."""
    from bridge.transfer.bundle import ReturnBundle, opened

    trust, config = trust_of(session), session.config
    secret, spool = identity_of(session, None), config.spool
    with opened(path, trust.keys_for, secret, spool.path, spool.min_free) as found:
        if not isinstance(found, ReturnBundle) or found.receipt.node != config.node:
            raise ConfigError(
                "export.resend",
                "It is no return bundle for this node.",
                "Give the file that came back from the relay.",
            )
        return {lane.stream: lane.missing for lane in found.receipt.lanes}
