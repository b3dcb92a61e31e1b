"""``bridge backfill``: usage that was never reported, from the vendor's CSV exports."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from bridge.cli.input import opened
from bridge.cli.session import Session, json_option
from keys.errors import shown
from spool.errors import RecordError, SpoolError

if TYPE_CHECKING:
    from bridge.intake.backfilling import Plan
    from bridge.intake.csvrows import Row
    from spool.lane import Lane

GROUP = 1000
"""Rows that are made durable together."""


@click.command("backfill")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be taken; take nothing.")
@click.option("--overlap", is_flag=True, help="Take rows that overlap what is held.")
@click.option("--include-sent", is_flag=True, help="Take rows whose status says sent, too.")
@click.option("--with-names", is_flag=True, help="Keep the columns that name customers.")
@json_option
@click.pass_obj
def command(
    session: Session,
    file: Path,
    *,
    dry_run: bool,
    overlap: bool,
    include_sent: bool,
    with_names: bool,
    as_json: bool,
) -> None:
    """Take the vendor's pg_usage_traces_backfill or pg_usage_nodes_backfill export into the spool.

    The whole FILE is checked first. Rows that were sent, that the spool holds already, or that come
    twice are left out, so the same file can be taken again at any time.
    """
    from bridge.intake.backfilling import Plan
    from bridge.intake.csvrows import rows_of
    from spool.lane import Lane
    from spool.streams import stream_named

    session.begin("backfill", as_json=as_json)
    guard = session.license_keys.guard()
    with _csv(file) as text:
        form, rows = rows_of(text, names=with_names)
        stream, plan = stream_named(form.stream), Plan(form.stream)
        for row in rows:
            try:
                stream.to_lines(row.record, guard)
            except RecordError as error:
                raise RecordError(
                    error.id, f"Row {row.number}: {error.message}", error.hint
                ) from error
            plan.add(row, include_sent=include_sent)
        lane = Lane(session.config.spool.path, session.config.node, form.stream)
        with _alone(lane, dry_run=dry_run):
            _look(session, lane, plan)
            if plan.overlaps and not overlap:
                raise RecordError(
                    "backfill.overlap",
                    f"{plan.overlaps} records that the spool holds cover the time of rows of this "
                    f"file under other ids, the first that of {shown(plan.overlap)}.",
                    "Compare them; --overlap takes the rows all the same, and they may count twice.",
                )
            if not dry_run and plan.wanted:
                text.seek(0)
                _, rows = rows_of(text, names=with_names)
                _append(session, form.stream, plan.take(rows, include_sent=include_sent))
    _answer(session, plan, dry_run=dry_run)


@contextmanager
def _csv(file: Path) -> Iterator[TextIO]:
    with opened(file) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise RecordError(
                "backfill.file",
                f"{shown(str(file))} is no regular file; it is read twice.",
                "Save the export as a file.",
            )
        with open(fd, encoding="utf-8-sig", newline="", closefd=False) as text:
            yield text


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


def _look(session: Session, lane: "Lane", plan: "Plan") -> None:
    """See what the lane holds already."""
    from spool.durable import explained
    from spool.heldlines import held_lines

    unread: list[str] = []
    try:
        for raw in held_lines(lane, lambda path, why: unread.append(f"{path.name}: {why}")):
            plan.see(raw)
    except OSError as error:
        raise explained(error, "see what the spool holds") from error
    for why in unread:
        session.note(f"Not looked at, for it cannot be read: {shown(why)}")


def _append(session: Session, stream: str, rows: "Iterator[Row]") -> None:
    from spool.writer import Writer

    seal = session.config.spool.seal
    with Writer(
        session.config.spool.path,
        stream,
        node=session.config.node,
        signer=session.signing_key,
        seal_size=seal.size,
        seal_age_ms=seal.age,
        guard=session.license_keys.guard(),
    ) as writer:
        group: list[bytes] = []
        for row in rows:
            group.append(row.record)
            if len(group) == GROUP:
                writer.append(group)
                group = []
        writer.append(group)


def _answer(session: Session, plan: "Plan", *, dry_run: bool) -> None:
    answer = {
        "stream": plan.stream,
        "dry_run": dry_run,
        "rows": sum(plan.statuses.values()),
        "statuses": dict(plan.statuses),
        "taken": 0 if dry_run else plan.wanted,
        "wanted": plan.wanted,
        "sent": plan.sent,
        "held": plan.held,
        "repeated": plan.repeated,
        "overlaps": plan.overlaps,
    }

    def say() -> None:
        what = "would be taken" if dry_run else "are durable"
        session.say(f"{plan.wanted} of {answer['rows']} rows {what} ({plan.stream}).")
        for count, why in (
            (plan.sent, "were sent before, by their status"),
            (plan.held, "are in the spool already"),
            (plan.repeated, "stand in the file twice"),
        ):
            if count:
                session.say(f"{count} left out: they {why}.")
        if plan.overlaps:
            session.say(f"{plan.overlaps} records that are held cover the same time.")

    session.result(answer, say)
