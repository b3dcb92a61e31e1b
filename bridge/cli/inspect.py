"""``bridge inspect``: what one file holds, who vouches for it, and its records as they will leave."""

import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import click

from bridge.cli.found import Found, answer_of, lines_of
from bridge.cli.inspectbundle import is_container, judge, records_of
from bridge.cli.keyring import key_option, keys_for
from bridge.cli.session import Session, json_option
from keys.errors import ConfigError, VerificationError
from spool.frames import MIB, FrameDecoder
from spool.inspection import Keys, lies_in_place
from spool.segment import Segment
from spool.verdicts import problem_of

ANSWER_MAX = 64 * MIB
"""Bytes of records in one JSON answer, which is made in memory."""
_ALL = "all"


@click.command("inspect")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--records",
    metavar="[N]",
    is_flag=False,
    flag_value=_ALL,
    help="Print the lines exactly as they will leave, all or the first N.",
)
@key_option
@json_option
@click.pass_obj
def command(
    session: Session,
    path: Path | None,
    records: str | None,
    key_files: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Show what a segment, bundle or return bundle holds: who, what, how many, valid or not.

    With --records the lines alone go to stdout, what is said about them to stderr: into a pipe or a
    file byte for byte, on a terminal with controls and invisible marks escaped. Lines of a file whose
    bytes or signature are bad are not shown. Without a key and a configuration the signature is not
    judged, and that is said. Exit code 4 if anything is bad.
    """
    session.begin("inspect", as_json=as_json)
    if path is None and records not in (None, _ALL):
        # `--records FILE`: the option took the name that follows it.
        path, records = Path(str(records)), _ALL
    if path is None:
        raise click.UsageError("Missing argument 'PATH'.")
    count = _count(records)
    if is_container(path):
        _inspect_container(session, path, key_files, records=records)
        return
    keys = _keys(session, key_files)
    try:
        with Segment.open(path, own=False) as segment:
            found = Found(
                segment.statement,
                segment.digest,
                segment.stored_size,
                segment.envelope.signatures[0].keyid,
            )
            _judge(path, segment, keys, found)
            _read(session, segment, found, count)
    except BrokenPipeError:  # whoever reads the lines has gone; the file is all right
        raise
    except OSError as error:
        problem = problem_of(error)
        raise VerificationError(problem.id, problem.message, problem.hint) from error
    _tell(session, path, found, records=records)


def _inspect_container(
    session: Session, path: Path, key_files: tuple[Path, ...], *, records: str | None
) -> None:
    """A bundle or a return bundle; with ``records`` its lines alone go to stdout."""
    judged = judge(session, path, key_files)
    good = judged.error is None and not judged.problems
    if session.as_json:
        said = {"path": str(path), "kind": judged.kind, "valid": good, **judged.answer}
        if records is not None and good:
            said["lines"] = _lines(session, path, key_files, _count(records))
        error = judged.error or next(iter(judged.problems), None)
        if error is not None:
            said["error"] = {"id": error.id, "message": error.message, "hint": error.hint}
        session.result(said, lambda: None)
    else:
        for line in judged.lines:
            (session.say if records is None else session.note)(line)
        if judged.error is not None:
            session.show_error(judged.error)
    if records is not None and good and not session.as_json:
        left = _count(records)
        for raw in records_of(session, path, key_files):
            for record in BytesIO(raw):
                if left == 0:
                    break
                left = None if left is None else left - 1
                if sys.stdout.isatty():
                    session.say(record[:-1].decode("utf-8", "backslashreplace"))
                else:
                    sys.stdout.buffer.write(record)
        sys.stdout.buffer.flush()
    session.finish(0 if good else VerificationError.exit_code)


def _lines(
    session: Session, path: Path, key_files: tuple[Path, ...], count: int | None
) -> list[str]:
    """The first ``count`` lines of a bundle, as text."""
    lines: list[str] = []
    size = 0
    for raw in records_of(session, path, key_files):
        for line in BytesIO(raw):
            if len(lines) == count:
                break  # and yet all of it is read, to know that these are what was sealed
            size += len(line)
            if size > ANSWER_MAX:
                raise _too_many()
            lines.append(line[:-1].decode("utf-8", "backslashreplace"))
    return lines


def _too_many() -> click.UsageError:
    return click.UsageError(
        f"These are more than {ANSWER_MAX} bytes; give --records a number, or leave --json out."
    )


def _tell(session: Session, path: Path, found: Found, *, records: str | None) -> None:
    if session.as_json:
        lines = {} if records is None else {"lines": found.shown}
        session.result({**answer_of(path, found), **lines}, lambda: None)
    else:
        tell = session.say if records is None else session.note
        for line in lines_of(path, found):
            tell(line)
        if found.error is not None:
            session.show_error(found.error)
    session.finish(0 if found.error is None else VerificationError.exit_code)


def _count(records: str | None) -> int | None:
    """How many lines are to be shown; None for all."""
    if records is None:
        return 0
    if records == _ALL:
        return None
    if records.isascii() and records.isdecimal():
        return int(records[:18])
    raise click.BadParameter("a number of lines, e.g. 10", param_hint="--records")


def _keys(session: Session, key_files: Sequence[Path]) -> Keys | None:
    try:
        return keys_for(session, key_files)
    except ConfigError as error:
        if error.id == "config.missing" and session.config_file is None:
            return None
        raise


def _judge(path: Path, segment: Segment, keys: Keys | None, found: Found) -> None:
    try:
        lies_in_place(path)(segment)
        segment.check_digest()
        if keys is not None:
            segment.check_signature(keys(found.said.node))
            found.signature = "verified"
    except VerificationError as error:
        found.error = error
        if error.id == "key.untrusted":
            found.signature = "untrusted"
        elif error.id in {"signature.bad", "envelope.signatures"}:
            found.signature = "bad"


def _read(session: Session, segment: Segment, found: Found, count: int | None) -> None:
    """Go through the frames, and show the first ``count`` lines; None of a file that is bad."""
    if found.error is not None:
        return
    left, held = count, 0
    try:
        for raw, _ in segment.raw_frames(FrameDecoder(), prove=True):
            found.frames += 1
            if left == 0:
                continue
            if left is None and not session.as_json and not sys.stdout.isatty():
                sys.stdout.buffer.write(raw)
                continue
            for line in BytesIO(raw):
                if left == 0:
                    break
                left = None if left is None else left - 1
                held += len(line)
                if session.as_json and held > ANSWER_MAX:
                    raise _too_many()
                _show_line(session, found, line)
    except VerificationError as error:
        found.error = error
    if not session.as_json:
        sys.stdout.buffer.flush()


def _show_line(session: Session, found: Found, line: bytes) -> None:
    if session.as_json:
        found.shown.append(line[:-1].decode("utf-8", "backslashreplace"))
    elif sys.stdout.isatty():
        session.say(line[:-1].decode("utf-8", "backslashreplace"))
    else:
        sys.stdout.buffer.write(line)
