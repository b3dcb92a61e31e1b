"""``bridge audit``: what left this machine, when, where to, and what was answered."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from bridge.cli.left import PARTLY, answer_record, answer_segment, finish
from bridge.cli.refusedrecord import refused_answer, refused_words
from bridge.cli.seeing import seen_answer, seen_words
from bridge.cli.sentbundle import bundle_answer, bundle_line, segment_lines, segments_in
from bridge.cli.sentrequest import (
    FROM_0,
    attempt_answer,
    attempt_line,
    digest_lines,
    digests_of,
    row_answer,
    row_line,
)
from bridge.cli.session import Session, json_option
from bridge.cli.standardfiles import OutputError
from bridge.operate.trail import Damaged, answered, carried, seen, unanswered
from bridge.terminal import counted
from keys.errors import BridgeError
from spool.clock import SYSTEM_CLOCK, rfc3339
from spool.durable import explained
from spool.errors import SpoolError
from spool.lane import Lane, lanes
from spool.ledger import Ledger
from spool.rebuiltfile import read_rebuilt

Row = tuple[Mapping[str, Any], list[str]]
"""What left at once: in JSON, and its lines for people."""


@click.command("audit")
@click.option("--since", metavar="T", help="RFC 3339 with offset, a UTC date, or a duration ago.")
@click.option("--record", metavar="ID", help="Did the transaction with this id leave?")
@click.option(
    "--segment",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Did this segment leave?",
)
@json_option
@click.pass_obj
def command(
    session: Session, *, since: str | None, record: str | None, segment: Path | None, as_json: bool
) -> None:
    """List everything that left, requests and bundles: when, where to, what, digests, the answer.

    Below it stands which losses and lower counts a person has seen (bridge replay --discard), and why;
    and each record that was refused, with the beacon's answer or the note of who gave it up.

    With --record or --segment: whether that one left (when, where to), did not leave, or is no longer
    held. Lines of a segment are counted from 0, in JSON too.
    """
    session.begin("audit", as_json=as_json)
    if sum(each is not None for each in (since, record, segment)) > 1:
        raise click.UsageError("--since, --record and --segment exclude each other.")
    from_ms = _from_ms(since)
    with _ledger(session) as ledger:
        if record is not None:
            answer_record(session, ledger, record)
        elif segment is not None:
            answer_segment(session, ledger, segment)
        else:
            _list(session, ledger, from_ms)


def _from_ms(since: str | None) -> int:
    from bridge.config.when import moment_ms

    try:
        return 0 if since is None else moment_ms(since, SYSTEM_CLOCK.wall_ms())
    except ValueError:
        raise click.BadParameter(
            "RFC 3339 with an offset, a UTC date, or a duration ago, e.g. 2h", param_hint="--since"
        ) from None


@contextmanager
def _ledger(session: Session) -> Iterator[Ledger]:
    spool = session.config.spool.path
    try:
        with Ledger.open_to_read(spool, clock=SYSTEM_CLOCK) as ledger:
            yield ledger
    except BrokenPipeError:  # whoever reads the answer has gone; the spool is all right
        raise
    except OSError as error:
        raise explained(error, "read the spool") from error


def _list(session: Session, ledger: Ledger, since: int) -> None:
    damaged: dict[Path, SpoolError] = {}
    spool = session.config.spool.path
    parts = {
        "requests": _requests(spool, ledger, since, damaged.__setitem__),
        "unanswered": _unanswered(spool, ledger, since),
        "bundles": _bundles(spool, ledger, since, damaged.__setitem__),
        "seen": _seen(spool, ledger, since, damaged.__setitem__),
        "refused": _refused(spool, ledger, since),
    }
    if session.as_json:
        _write_json(session, parts, damaged, _lost_at(spool, since))
        return
    counts: Counter[str] = Counter()
    for name, rows in parts.items():
        for said, lines in rows:
            counts[name] += (
                "status" not in said or said["status"] is not None
            )  # else it was not sent
            for line in lines:
                session.say(line)
    requests = counted(counts["requests"] + counts["unanswered"], "request", "requests")
    bundles = counted(counts["bundles"], "bundle", "bundles")
    beacon = session.config.beacon.url
    session.note(f"{requests}, {bundles}; the beacon is {beacon}.")
    lost_at = _lost_at(spool, since)
    if lost_at is not None:
        session.note(
            f"The ledger was lost and made anew at {lost_at}: there are no rows from before."
        )
    finish(session, damaged)


def _lost_at(spool: Path, since: int) -> str | None:
    """When the last ledger was made anew of which nothing is left; None if not after ``since`` (ms)."""
    lost = [said.at for said in read_rebuilt(spool) if not said.kept]
    return lost[-1] if lost and lost[-1] >= rfc3339(since) else None


def _requests(spool: Path, ledger: Ledger, since: int, damaged: Damaged) -> Iterator[Row]:
    for row in answered(spool, ledger, since, damaged):
        digests = digests_of(Lane(spool, row.node, row.stream), row.bounds)
        yield row_answer(row, digests), [row_line(row), *digest_lines(digests)]


def _unanswered(spool: Path, ledger: Ledger, since: int) -> Iterator[Row]:
    for lane, batch in unanswered(spool, ledger):
        if (batch.attempted_at or 0) >= since:
            digests = digests_of(lane, batch.bounds)
            said = {**attempt_answer(lane, batch), "segments": digests}
            yield said, [attempt_line(lane, batch), *digest_lines(digests)]


def _bundles(spool: Path, ledger: Ledger, since: int, damaged: Damaged) -> Iterator[Row]:
    for bundle, packed in carried(spool, ledger, since, damaged):
        segments = segments_in(spool, packed)
        yield bundle_answer(bundle, segments), [bundle_line(bundle), *segment_lines(segments)]


def _seen(spool: Path, ledger: Ledger, since: int, damaged: Damaged) -> Iterator[Row]:
    for each in seen(spool, ledger, since, damaged):
        line = f"{rfc3339(each.at)}  seen {seen_words(each)}: {each.note}"
        yield seen_answer(each), [line]


def _refused(spool: Path, ledger: Ledger, since: int) -> Iterator[Row]:
    for lane in lanes(spool):
        for each in ledger.exceptions(lane):
            if each.at >= since:
                place = {"node": lane.node, "stream": lane.stream, "seq": each.seq}
                where = f"{lane.node}/{lane.stream} {each.seq} line {each.line} {FROM_0}"
                line = f"{rfc3339(each.at)}  refused: {where}: {refused_words(each)}"
                yield {**place, **refused_answer(each)}, [line]


def _write_json(
    session: Session,
    parts: Mapping[str, Iterator[Row]],
    damaged: Mapping[Path, SpoolError],
    lost_at: str | None,
) -> None:
    """The answer a row at a time: years of it do not fit into memory."""
    session.write(f'{{"schema":"bridge.audit/1","beacon":{_dumps(session.config.beacon.url)}')
    error: BridgeError | None = None
    for name, rows in parts.items():
        session.write(f',"{name}":[')
        separator = ""
        try:
            for said, _ in rows:
                session.write(separator + _dumps(said))
                separator = ","
        except (OutputError, BrokenPipeError):
            raise
        except (BridgeError, OSError) as failure:
            error = (
                explained(failure, "read the spool") if isinstance(failure, OSError) else failure
            )
        session.write("]")
    kept = [{"path": str(path), "message": each.message} for path, each in damaged.items()]
    session.write(f',"damaged":{_dumps(kept)},"no_rows_before":{_dumps(lost_at)}')
    if error is not None:
        told = {"id": error.id, "message": error.message, "hint": error.hint}
        session.write(f',"error":{_dumps(told)}')
    session.write("}\n")
    session.finish(error.exit_code if error is not None else PARTLY if damaged else 0)


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
