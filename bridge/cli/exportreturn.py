"""What ``bridge export --for NODE --to DIR`` makes on a relay: a return bundle."""

from pathlib import Path
from typing import Any

from bridge.cli.session import Session
from bridge.cli.told import ledger_of
from bridge.terminal import counted
from bridge.transfer.peer import Peer
from keys.truststore import TrustStore


def give_back(
    session: Session,
    trust: TrustStore,
    other: Peer,
    folder: Path,
    name: str | None,
    *,
    dry_run: bool,
) -> None:
    """Export the return bundle for ``other``: a receipt, and the node's token if there is one.

    Raises :class:`BridgeError`.
    """
    from bridge.daemon.returntoken import token_for_return
    from bridge.transfer.abandoned import clear_abandoned
    from bridge.transfer.receipt import REFUSED_MAX
    from bridge.transfer.returning import receipt_for, write_return
    from bridge.transfer.writing import failed
    from spool.clock import SYSTEM_CLOCK, rfc3339

    config = session.config
    with ledger_of(session, dry_run=dry_run) as ledger:
        told, left_out = receipt_for(
            ledger,
            trust,
            config.spool.path,
            config.node,
            other.name,
            SYSTEM_CLOCK,
            text_max=config.transfer.return_text,
            dry_run=dry_run,
        )
    token = token_for_return(config, session.license_keys, session.signing_key.own_keys, other.name)
    waiting = sum(
        len(span) for lane in told.lanes for span in lane.spans if span.state == "pending"
    )
    back_at = SYSTEM_CLOCK.wall_ms() + config.transfer.overdue
    ends_at = None if token is None or token.ends_at is None else token.ends_at
    answer: dict[str, Any] = {
        "dry_run": dry_run,
        "bundles": [],
        "pending": waiting,
        "left_out": left_out,
        "token": token is not None,
        "token_ends_at": None if ends_at is None else rfc3339(ends_at),
    }
    if not dry_run:
        try:
            clear_abandoned(folder, config.node, other.name)
            path, manifest, medium = write_return(
                folder, name, told, None if token is None else token.data,
                signer=session.signing_key, age=other.age, clock=SYSTEM_CLOCK,
            )  # fmt: skip
        except OSError as error:
            raise failed(error) from error
        answer["bundles"] = [
            {
                "path": str(path),
                "sha256": medium.sha256,
                "size": medium.size,
                "id": manifest.id,
                "serial": manifest.serial,
                "segments": 0,
                "records": 0,
                "lanes": [],
            }
        ]

    def text() -> None:
        for each in answer["bundles"]:
            session.say(f"{each['path']}: {each['size']} bytes, sha256 {each['sha256']}")
        if waiting:
            still = counted(waiting, "segment is", "segments are")
            session.say(f"{still} still to be sent: this receipt is an early one.")
        if left_out:
            are = counted(left_out, "segment is", "segments are")
            session.say(f"{are} left out for want of room: receipts before may tell of them.")
            session.say(
                f"  None tells of a segment with more than {REFUSED_MAX:,} refused records: of that "
                "tell its node what bridge audit says here."
            )
        if token is None:
            session.say("No license token goes with it.")
        elif ends_at is not None and ends_at < back_at:
            session.say(f"The license token in it ends {rfc3339(ends_at)}: be there before.")
        else:
            session.say("A license token goes with it.")

    session.result(answer, text)
