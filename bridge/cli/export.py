"""``bridge export``: packs what waits for a courier; on a relay, what goes back."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.moving import bar_of
from bridge.cli.peers import Peer, identity_of, peer_for, trust_of
from bridge.cli.selecting import wanted_of
from bridge.cli.session import Session, json_option
from keys.errors import ConfigError
from spool.errors import SpoolError
from spool.streams import STREAMS

if TYPE_CHECKING:
    from bridge.transfer.exporting import Chosen, Exported, Order
    from spool.ledger import Ledger

SIZE_MAX = "4000000000"
"""Bytes of a bundle: what the oldest file systems of sticks take."""


@click.command("export")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR|FILE")
@click.option("--stream", "streams", type=click.Choice(sorted(STREAMS)), multiple=True)
@click.option("--since", help="RFC 3339, a UTC date, or a duration ago.")
@click.option("--until", help="The same.")
@click.option("--segments", "segments", multiple=True, help="NODE/STREAM/1-40,57")
@click.option("--again", is_flag=True, help="Also what was exported, and is not confirmed.")
@click.option(
    "--resend",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What a return bundle asks for, and nothing else.",
)
@click.option("--max-size", default=SIZE_MAX, show_default=True, help="Bytes of a bundle.")
@click.option("--recipient", "recipients", multiple=True, metavar="age1…", help="Encrypt to it.")
@click.option("--plain", is_flag=True, help="Do not encrypt.")
@click.option("--for", "peer", metavar="NAME", help="For this trusted relay; on a relay: node.")
@click.option("--note", default="", help="A line for whoever reviews it.")
@click.option("--dry-run", is_flag=True, help="Say what would be packed; write nothing.")
@json_option
@click.pass_obj
def command(
    session: Session,
    *,
    target: Path,
    streams: Sequence[str],
    since: str | None,
    until: str | None,
    segments: Sequence[str],
    again: bool,
    resend: Path | None,
    max_size: str,
    recipients: Sequence[str],
    plain: bool,
    peer: str | None,
    note: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Pack what is pending into bundles, verified on the medium before success is said."""
    session.begin("export", as_json=as_json)
    if plain and recipients:
        raise click.UsageError("--plain and --recipient exclude each other.")
    if resend is not None and (streams or since or until or segments or again):
        raise click.UsageError("--resend takes its selection from the file; give no other.")
    trust = trust_of(session)
    other = peer_for(trust, peer, recipients, plain=plain)
    folder, name = _place(target)
    if not other.age and not session.as_json:
        session.note("It is not encrypted: whoever holds the medium can read it.")
    if other.role == "node":
        _return(session, other, folder, name, dry_run=dry_run)
        return
    from bridge.daemon.sealingall import seal_all
    from bridge.transfer.exporting import Order

    order = Order(session.config.node, other.name, folder, name, _size(max_size), other.age, note)
    for path in seal_all(session.config, session.signing_key):
        session.note(f"A writer keeps {path.name} open; what is in it is not packed.")
    with _ledger(session) as ledger:
        found = _chosen(session, ledger, streams, since, until, segments, again, resend)
        done = _export(session, ledger, found, order, dry_run=dry_run)
    answer = {"dry_run": dry_run, "bundles": [_answer(each) for each in done]}
    session.result(answer, lambda: _show(session, done, dry_run=dry_run))


def _place(target: Path) -> tuple[Path, str | None]:
    if target.is_dir():
        return target, None
    if target.parent.is_dir():
        return target.parent, target.name
    raise ConfigError(
        "export.target",
        "There is no folder where --to says.",
        "Mount the medium, or make the folder first.",
    )


def _size(text: str) -> int:
    from bridge.config.units import size

    try:
        found = int(text) if text.isdecimal() else size(text)
    except ValueError:
        raise click.BadParameter("a size, e.g. 4GiB", param_hint="--max-size") from None
    return found


def _ledger(session: Session) -> "Ledger":
    from spool.clock import SYSTEM_CLOCK
    from spool.discovery import discover
    from spool.durable import explained
    from spool.lane import lanes
    from spool.ledger import Ledger

    spool = session.config.spool.path
    ledger = Ledger.open(spool, clock=SYSTEM_CLOCK)
    try:
        for lane in lanes(spool):
            discover(ledger, lane)
    except OSError as error:
        ledger.close()
        raise explained(error, "see what the spool holds") from error
    except BaseException:
        ledger.close()
        raise
    return ledger


def _chosen(  # noqa: PLR0917 - one for each option
    session: Session,
    ledger: "Ledger",
    streams: Sequence[str],
    since: str | None,
    until: str | None,
    segments: Sequence[str],
    again: bool,
    resend: Path | None,
) -> "list[Chosen]":
    from bridge.egress.selection import choose
    from bridge.transfer.exporting import chosen
    from spool.durable import explained
    from spool.lane import Lane
    from spool.ranges import Range

    config = session.config
    own = [Lane(config.spool.path, config.node, name) for name in STREAMS]
    found: list[Chosen] = []
    try:
        if resend is not None:
            for lane, numbers in _asked_for(session, resend):
                found += chosen(lane, numbers)
            return found
        states = ("pending", "exported") if again else ("pending",)
        wanted = wanted_of(states, streams, since, until, segments)
        for choice in choose(ledger, own, wanted, session.signing_key.own_keys):
            numbers = sorted(Range(each.first, each.last) for each in choice.stretches)
            found += chosen(choice.lane, numbers)
    except OSError as error:
        raise explained(error, "read the segments") from error
    return sorted(found, key=lambda each: (each.packed.stream, each.packed.seq))


def _asked_for(session: Session, path: Path) -> "list[tuple[Any, Sequence[Any]]]":
    from bridge.transfer.bundle import ReturnBundle, opened
    from spool.lane import Lane

    trust, config = trust_of(session), session.config
    with opened(path, trust.keys_for, identity_of(session, None), config.spool.path) as found:
        if not isinstance(found, ReturnBundle) or found.receipt.node != config.node:
            raise ConfigError(
                "export.resend",
                "It is no return bundle for this node.",
                "Give the file that came back from the relay.",
            )
        return [
            (Lane(config.spool.path, config.node, lane.stream), lane.missing)
            for lane in sorted(found.receipt.lanes, key=lambda each: each.stream)
        ]


def _export(
    session: Session, ledger: "Ledger", found: "list[Chosen]", order: "Order", *, dry_run: bool
) -> "list[Exported]":
    from bridge.transfer.exporting import Exporter, parted
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import explained

    exporter = Exporter(ledger, session.signing_key, SYSTEM_CLOCK)
    done = []
    parts = list(parted(found, order.size_max))
    total = sum(each.packed.size for each in found)
    try:
        if not dry_run and total > shutil.disk_usage(order.folder).free:
            raise SpoolError(
                "disk.full",
                f"There is no room for {total} bytes where --to says.",
                "Use a larger medium, or choose less; nothing was written.",
            )
        if order.name is not None and len(parts) > 1:
            raise ConfigError(
                "export.target",
                f"It takes {len(parts)} bundles, and --to names one file.",
                "Name a folder with --to.",
            )
        with bar_of(session, "writing", 2 * total) as progress:
            done = [exporter.export(part, order, progress, dry_run=dry_run) for part in parts]
    except OSError as error:
        raise explained(error, "write a bundle") from error
    return done


def _return(
    session: Session, other: Peer, folder: Path, name: str | None, *, dry_run: bool
) -> None:
    from bridge.daemon.returntoken import token_for_return
    from bridge.transfer.returning import receipt_for, write_return
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import explained

    config = session.config
    with _ledger(session) as ledger:
        told = receipt_for(ledger, config.spool.path, config.node, other.name, SYSTEM_CLOCK)
    token = token_for_return(config, session.license_keys, session.signing_key.public, other.name)
    answer: dict[str, Any] = {"dry_run": dry_run, "bundles": [], "token": token is not None}
    if not dry_run:
        try:
            path, manifest, medium = write_return(
                folder, name, told, token,
                signer=session.signing_key, age=other.age, clock=SYSTEM_CLOCK,
            )  # fmt: skip
        except OSError as error:
            raise explained(error, "write the return bundle") from error
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
        waiting = sum(
            span.last - span.first + 1
            for lane in told.lanes
            for span in lane.spans
            if span.state == "pending"
        )
        if waiting:
            session.say(f"{waiting} segments are still to be sent: this receipt is an early one.")
        session.say("A license token goes with it." if token else "No license token goes with it.")

    session.result(answer, text)


def _answer(each: "Exported") -> Mapping[str, Any]:
    from spool.ranges import format_ranges

    told, medium = each.manifest, each.medium
    return {
        "path": None if medium is None else str(each.path),
        "sha256": None if medium is None else medium.sha256,
        "size": None if medium is None else medium.size,
        "id": told.id,
        "serial": told.serial,
        "encrypted": each.encrypted,
        "reread": None if medium is None else medium.reread,
        "segments": len(told.members),
        "records": sum(lane.records for lane in told.lanes),
        "lanes": [
            {"node": lane.node, "stream": lane.stream, "ranges": format_ranges(lane.ranges)}
            for lane in told.lanes
        ],
    }


def _show(session: Session, done: "Sequence[Exported]", *, dry_run: bool) -> None:
    if not done:
        session.say("There is nothing to export.")
    for each in done:
        records = sum(lane.records for lane in each.manifest.lanes)
        what = f"{records} records in {len(each.manifest.members)} segments"
        if dry_run or each.medium is None:
            session.say(f"Would be packed for {each.manifest.recipient}: {what}.")
            continue
        session.say(f"{each.path}: {what} for {each.manifest.recipient}")
        session.say(f"  {each.medium.size} bytes, sha256 {each.medium.sha256}")
        if not each.medium.reread:
            session.say("  It could not be read past the page cache; verify it on another machine.")
