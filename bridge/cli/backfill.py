"""``bridge backfill``: usage that was never reported, from the vendor's CSV exports.

The whole file is checked before anything is written; then it is read again and taken, a group of rows
at a time. What was taken before a failure is durable, and found by the next run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.session import Session, json_option
from keys.errors import shown
from spool.errors import RecordError, SpoolError

if TYPE_CHECKING:
    from bridge.cli.backfilled import Taken
    from bridge.cli.csvfile import CsvFile
    from bridge.cli.input import Progress
    from bridge.intake.backfilling import Plan
    from bridge.intake.exports import Row
    from spool.lane import Lane

GROUP_ROWS = 1000
"""Rows that are made durable together, if they are small."""
GROUP_SIZE = 4 * 1024 * 1024
"""Bytes of records from which a group is made durable."""


@click.command("backfill")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be taken; take nothing.")
@click.option("--overlap", is_flag=True, help="Take rows that overlap what is held.")
@click.option("--include-sent", is_flag=True, help="Take rows whose status says sent, too.")
@click.option(
    "--with-customer-name",
    "--with-names",
    "names",
    is_flag=True,
    help="Keep the columns that name customers.",
)
@json_option
@click.pass_obj
def command(
    session: Session,
    file: Path,
    *,
    dry_run: bool,
    overlap: bool,
    include_sent: bool,
    names: bool,
    as_json: bool,
) -> None:
    """Take the vendor's pg_usage_traces_backfill or pg_usage_nodes_backfill export into the spool.

    The whole FILE is checked first; a bad row refuses it. Rows that were sent, that the spool holds
    already, or that come twice are left out, so the same FILE can be taken again at any time. Rows
    whose time overlaps that of other records held are refused without --overlap (exit code 3; 1 if
    no row is in the spool).
    """
    from bridge.cli.backfilled import Taken, answer
    from bridge.cli.csvfile import opened_csv
    from bridge.cli.input import Progress
    from bridge.intake.backfilling import Plan
    from bridge.intake.exports import rows_of
    from spool.lane import Lane

    session.begin("backfill", as_json=as_json)
    progress = Progress(session)
    with opened_csv(file, progress.add) as csv:
        form, rows = rows_of(csv.readline, names=names)
        plan = Plan(form, include_sent=include_sent, overlap=overlap)
        _check(session, plan, rows)
        lane = Lane(session.config.spool.path, session.config.node, form.stream)
        taken = Taken()
        with _alone(lane, dry_run=dry_run):
            _look(session, lane, plan, progress)
            examples = plan.examples(_again(csv, names=names)) if plan.overlapping else []
            try:
                if not dry_run and plan.wanted:
                    _append(session, form.stream, plan.take(_again(csv, names=names)), taken)
                    _check_whole(csv, plan, taken)
            except (RecordError, SpoolError) as error:
                taken.error = error
            finally:
                progress.end()
    answer(session, plan, examples, taken, dry_run=dry_run)


def _again(csv: "CsvFile", *, names: bool) -> "Iterator[Row]":
    from bridge.intake.exports import rows_of

    csv.rewind()
    return rows_of(csv.readline, names=names)[1]


def _check(session: Session, plan: "Plan", rows: "Iterator[Row]") -> None:
    from spool.streams import stream_named

    to_lines, guard = stream_named(plan.form.stream).to_lines, session.license_keys.guard()
    for row in rows:
        try:
            to_lines(row.record, guard)
        except RecordError as error:
            raise RecordError(error.id, f"Line {row.line}: {error.message}", error.hint) from error
        plan.add(row)


@contextmanager
def _alone(lane: "Lane", *, dry_run: bool) -> Iterator[None]:
    """One backfill of a lane at a time: two would each not see what the other takes."""
    from spool import locks
    from spool.chain import begin_lane
    from spool.durable import OS_DISK, explained

    if dry_run:
        yield
        return
    try:
        begin_lane(OS_DISK, lane)
        held = locks.take(lane.folder / "backfill.lock", wait=False)
    except OSError as error:
        raise explained(error, "begin a backfill") from error
    if held is None:
        raise SpoolError(
            "backfill.busy", "Another backfill of this stream is running.", "Wait for its end."
        )
    try:
        yield
    finally:
        locks.let_go(held)


def _look(session: Session, lane: "Lane", plan: "Plan", progress: "Progress") -> None:
    """See what the lane holds already."""
    from spool.durable import explained
    from spool.heldlines import held_lines

    unread: list[str] = []
    try:
        for raw in held_lines(lane, lambda path, why: unread.append(f"{path.name}: {why}")):
            progress.add(len(raw))
            plan.see(raw)
    except OSError as error:
        raise explained(error, "see what the spool holds") from error
    plan.unread += len(unread)
    for why in unread:
        session.note(f"Not looked at, for it cannot be read: {shown(why)}")


def _append(session: Session, stream: str, rows: "Iterator[Row]", taken: "Taken") -> None:
    from bridge.cli.writing import room_check_for, writer_for

    writer = writer_for(session, stream)
    try:
        check_room = room_check_for(session, stream)
        group: list[bytes] = []
        size = 0
        for row in rows:
            group.append(row.record)
            size += len(row.record)
            if len(group) == GROUP_ROWS or size >= GROUP_SIZE:
                check_room()
                taken.rows += writer.append(group)
                group, size = [], 0
        if group:
            check_room()
            taken.rows += writer.append(group)
    finally:
        try:
            writer.close()
        except SpoolError as error:
            session.note(f"Not sealed yet: {error.message} What was taken is durable.")


def _check_whole(csv: "CsvFile", plan: "Plan", taken: "Taken") -> None:
    if csv.changed or taken.rows != plan.wanted:
        raise RecordError(
            "backfill.changed",
            "The file was changed while it was read.",
            "Run this again with the file at rest.",
        )
