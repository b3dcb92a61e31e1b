"""``bridge inspect``: what one file holds, who vouches for it, and its records as they will leave."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from bridge.cli.keyring import key_option, keys_for
from bridge.cli.session import Session, json_option
from keys.errors import BridgeError, ConfigError, VerificationError
from spool.clock import rfc3339
from spool.frames import MIB, FrameDecoder
from spool.inspection import Keys, lies_in_place
from spool.segment import Segment
from spool.statement import Statement
from spool.verdicts import problem_of

ANSWER_MAX = 64 * MIB
"""Bytes of records in one JSON answer, which is made in memory."""
_ALL = "all"


@dataclass
class _Found:
    """What was found out; ``signature`` is verified, untrusted, bad, or unknown without a key."""

    said: Statement
    digest: str
    stored_size: int
    key: str
    signature: str = "unknown"
    frames: int = 0
    error: BridgeError | None = None
    shown: list[str] = field(default_factory=list)


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
    """Show what the segment PATH holds: who, what, how many, valid or not.

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
    keys = _keys(session, key_files)
    try:
        with Segment.open(path, own=False) as segment:
            found = _Found(
                segment.statement,
                segment.digest,
                segment.stored_size,
                segment.envelope.signatures[0].keyid,
            )
            _judge(path, segment, keys, found)
            if records is not None and not as_json:
                _note_all(session, path, found)
            _read(session, segment, found, count)
    except OSError as error:
        problem = problem_of(error)
        raise VerificationError(problem.id, problem.message, problem.hint) from error
    _tell(session, path, found, records=records)


def _tell(session: Session, path: Path, found: _Found, *, records: str | None) -> None:
    if session.as_json:
        lines = {} if records is None else {"lines": found.shown}
        session.result({**_answer(path, found), **lines}, lambda: None)
    elif found.error is not None:
        if records is None:
            _say_all(session, path, found)
        session.show_error(found.error)
    elif records is None:
        _say_all(session, path, found)
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


def _judge(path: Path, segment: Segment, keys: Keys | None, found: _Found) -> None:
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


def _read(session: Session, segment: Segment, found: _Found, count: int | None) -> None:
    """Go through the frames, and show the first ``count`` lines; None of a file that is bad."""
    if found.error is not None:
        return
    left, held = count, 0
    try:
        for raw in segment.raw_frames(FrameDecoder()):
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
                    raise click.UsageError(
                        f"These are more than {ANSWER_MAX} bytes; give --records a number, "
                        "or leave --json out."
                    )
                _show_line(session, found, line)
    except VerificationError as error:
        found.error = error
    if not session.as_json:
        sys.stdout.buffer.flush()


def _show_line(session: Session, found: _Found, line: bytes) -> None:
    if session.as_json:
        found.shown.append(line[:-1].decode("utf-8", "backslashreplace"))
    elif sys.stdout.isatty():
        session.say(line[:-1].decode("utf-8", "backslashreplace"))
    else:
        sys.stdout.buffer.write(line)


def _answer(path: Path, found: _Found) -> Mapping[str, Any]:
    said, error = found.said, found.error
    answer = {
        "path": str(path),
        "kind": "segment",
        "valid": error is None,
        "node": said.node,
        "stream": said.stream,
        "chain": said.chain,
        "seq": said.seq,
        "prev": said.prev,
        "digest": found.digest,
        "records": said.records,
        "raw_size": said.raw_size,
        "size": said.size,
        "stored_size": found.stored_size,
        "frames": found.frames,
        "sha256": said.sha256,
        "before": {"records": said.before.records, "raw_size": said.before.raw_size},
        "first_at": None if said.first_at is None else rfc3339(said.first_at),
        "last_at": None if said.last_at is None else rfc3339(said.last_at),
        "reason": said.reason,
        "policy": said.policy,
        "follows": None
        if said.follows is None
        else {
            "chain": said.follows.chain,
            "seq": said.follows.seq,
            "digest": said.follows.digest,
            "why": said.follows.why,
        },
        "lost": None
        if said.lost is None
        else {
            "ranges": said.lost.ranges,
            "records": said.lost.records,
            "raw_size": said.lost.raw_size,
            "why": said.lost.why,
        },
        "of": said.of,
        "signature": {"key": found.key, "state": found.signature},
    }
    if error is not None:
        answer["error"] = {"id": error.id, "message": error.message, "hint": error.hint}
    return answer


_SIGNATURE = {
    "verified": "verified, the key is trusted",
    "untrusted": "by a key that is not trusted for this node",
    "bad": "bad: this key did not sign it",
    "unknown": "not verified: could not tell, no key given (--key PUB.pem)",
}


def _lines(path: Path, found: _Found) -> list[str]:
    said = found.said
    valid = "no" if found.error else "yes"
    if found.error is None and found.signature == "unknown":
        valid = "its bytes are; nobody has vouched for them"
    lines = [
        f"segment    {path}",
        f"lane       {said.node}/{said.stream} {said.seq}, chain {said.chain}",
        f"valid      {valid}",
        f"signature  {_SIGNATURE[found.signature]}",
        f"key        {found.key}",
        f"digest     {found.digest}",
        f"records    {said.records}, after {said.before.records} in its chain",
        f"size       {found.stored_size} bytes stored, {said.raw_size} bytes of records",
        f"sealed by  {said.reason}",
    ]
    if said.first_at is not None and said.last_at is not None:
        lines.append(f"accepted   {rfc3339(said.first_at)} to {rfc3339(said.last_at)}")
    if said.follows is not None:
        follows = said.follows
        lines.append(f"follows    chain {follows.chain} up to {follows.seq} ({follows.why})")
    if said.lost is not None:
        lost = said.lost
        many = "nobody knows how many" if lost.records is None else lost.records
        lines.append(f"lost       {many} records, segments {lost.ranges or '-'} ({lost.why})")
    if said.of is not None:
        lines.append(f"saved from segment {said.of}")
    return lines


def _say_all(session: Session, path: Path, found: _Found) -> None:
    for line in _lines(path, found):
        session.say(line)


def _note_all(session: Session, path: Path, found: _Found) -> None:
    for line in _lines(path, found):
        session.note(line)
