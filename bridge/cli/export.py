"""``bridge export``: packs what waits for a courier; on a relay, what goes back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.exportagain import asked_again, say_twice
from bridge.cli.exportreturn import give_back
from bridge.cli.localspool import check_spool
from bridge.cli.moving import bar_of
from bridge.cli.peers import trust_of
from bridge.cli.selecting import wanted_of
from bridge.cli.session import Session, json_option
from bridge.cli.told import ledger_of
from bridge.terminal import counted
from bridge.transfer.peer import peer_for
from keys.errors import BridgeError, ConfigError
from spool.streams import STREAMS

if TYPE_CHECKING:
    from bridge.daemon.packing import Packer
    from bridge.transfer.exporting import Exported
    from bridge.transfer.peer import Peer

PARTLY = 3
SIZE_MAX = "4000000000"
"""Bytes of a bundle: what the oldest file systems of sticks take."""


@click.command("export")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="The medium, or a folder of it; a file, if it takes one bundle alone.",
)
@click.option(
    "--stream",
    "streams",
    type=click.Choice(sorted(STREAMS)),
    multiple=True,
    help="These streams alone; else all.",
)
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
@click.option("--note", default="", help="A line for whoever reviews it; on the slip, too.")
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
    check_spool(session)
    if plain and recipients:
        raise click.UsageError("--plain and --recipient exclude each other.")
    if resend is not None and (streams or since or until or segments or again):
        raise click.UsageError("--resend takes its selection from the file; give no other.")
    trust = trust_of(session)
    other = peer_for(trust, peer, recipients, plain=plain)
    folder, name = _place(target)
    if not other.age and not session.as_json:
        session.note("It is not encrypted: whoever holds the medium can read it.")
    if not other.opens:
        session.note(
            f"The recipient of {other.name} itself is not given: it will not be able to open it."
        )
    if other.role == "node":
        _check_bare(other, [*streams, since, until, *segments, again, resend, note])
        give_back(session, trust, other, folder, name, dry_run=dry_run)
        return
    from bridge.daemon.packing import Packer
    from bridge.daemon.sealingall import seal_all
    from bridge.transfer.exporting import Order
    from spool.clock import SYSTEM_CLOCK
    from spool.ledger_reading import is_only_read

    order = Order(session.config.node, other.name, folder, name, _size(max_size), other.age, note)
    if dry_run and is_only_read(session.config.spool.path):
        session.note("The spool may only be read: what is in open files does not count here.")
    else:
        for path in seal_all(session.config, session.signing_key):
            session.note(f"A writer keeps {path.name} open; what is in it is not packed.")
    with ledger_of(session, dry_run=dry_run) as ledger:
        packer = Packer(session.config, session.signing_key, ledger, SYSTEM_CLOCK)
        if resend is not None:
            found = asked_again(session, packer, resend, other, dry_run=dry_run)
        else:
            states = ("pending", "exported") if again else ("pending",)
            wanted = wanted_of(session, states, streams, since, until, segments)
            found = packer.waiting(wanted, dry_run=dry_run)
            say_twice(session, packer.for_others(found, other.name))
        total = sum(each.packed.size for each in found)
        with bar_of(session, "writing", 2 * total) as progress, _whole_ones_told(session, packer):
            done = packer.pack(found, order, progress, dry_run=dry_run)
    for name in packer.mended:
        session.note(
            f"{name} is missing or damaged: its loss is declared, the next export says so."
        )
    answer = {
        "dry_run": dry_run,
        "bundles": [_answer(each) for each in done],
        "damaged": packer.mended,
    }
    session.result(answer, lambda: _show(session, done, dry_run=dry_run))
    session.finish(PARTLY if packer.mended else 0)


def _check_bare(other: "Peer", given: Sequence[object]) -> None:
    """Raises :class:`click.UsageError` for options that mean nothing to a return bundle."""
    if any(given):
        raise click.UsageError(
            f"{other.name} is a node: a return bundle tells all, and takes no selection or note."
        )


@contextmanager
def _whole_ones_told(session: Session, packer: "Packer") -> Iterator[None]:
    """Where a bundle could not be written, those before it are none the worse for it."""
    try:
        yield
    except BridgeError:
        for each in packer.written:
            session.note(f"{each.path.name} is whole, and what is in it is exported.")
        raise


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
        segments = counted(len(each.manifest.members), "segment", "segments")
        what = f"{counted(records, 'record', 'records')} in {segments}"
        if dry_run or each.medium is None:
            session.say(f"Would be packed for {each.manifest.recipient}: {what}.")
            continue
        session.say(f"{each.path}: {what} for {each.manifest.recipient}")
        session.say(f"  {each.medium.size} bytes, sha256 {each.medium.sha256}")
        if not each.medium.reread:
            session.say("  It could not be read past the page cache; verify it on another machine.")
