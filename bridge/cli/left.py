"""``bridge audit --record`` and ``--segment``: whether one of them left, and where it stands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.cli.refusedrecord import refused_answer, refused_words
from bridge.cli.sentbundle import bundle_answer, bundle_line
from bridge.cli.sentrequest import (
    FROM_0,
    attempt_answer,
    attempt_line,
    digest_of,
    row_answer,
    row_line,
)
from bridge.cli.session import Session
from bridge.operate.trail import Fate, Place, fates
from spool.clock import rfc3339
from spool.errors import SpoolError
from spool.lane import Lane
from spool.ledger import Ledger
from spool.segment import Segment

PARTLY = 3
"""Exit code where something could not be read."""


def finish(session: Session, damaged: Mapping[Path, SpoolError]) -> None:
    """Say which kept ledgers could not be read to their end; the exit code tells it."""
    for path, error in damaged.items():
        session.note(f"{path.name} cannot be read any further: {error.message}")
    session.finish(PARTLY if damaged else 0)


def answer_record(session: Session, ledger: Ledger, wanted: str) -> None:
    """Whether a record with this id left. Raises :class:`SpoolError` or :class:`OSError`."""
    from bridge.operate.searching import find_record

    spool = session.config.spool.path
    unread: list[str] = []
    places = list(find_record(spool, wanted, lambda path, why: unread.append(f"{path}: {why}")))
    subject = {"record": wanted, "unread": unread}
    nowhere = "No record with this id is held; it never came, or it is no longer held."
    _answer(session, ledger, places, subject, nowhere)
    for line in unread:
        session.note(f"Could not be read: {line}")
    if unread:
        session.finish(PARTLY)


def answer_segment(session: Session, ledger: Ledger, path: Path) -> None:
    """Whether the segment at ``path`` left.

    Raises :class:`VerificationError` for one that is bad, :class:`SpoolError` or :class:`OSError`.
    """
    config = session.config
    with Segment.open(path, own=False) as segment:
        segment.check_digest()
        said, digest = segment.statement, segment.digest
        if said.node == config.node:
            key = session.signing_key.public
            segment.check_signature({key.id: key})
    lane = Lane(config.spool.path, said.node, said.stream)
    place = Place(lane, said.chain, said.seq, digest=digest)
    known = any(
        span.chain == said.chain and span.first <= said.seq <= span.last
        for span in ledger.spans(lane)
    )
    held = digest_of(lane, said.chain, said.seq)
    ours = held == digest if held is not None else known
    nowhere = (
        "Another segment has this number here: this one is a fork, and did not leave from here."
        if held is not None
        else "Neither the spool nor the ledger knows this segment; it never came here."
    )
    subject = {"segment": str(path), "digest": digest, "held": held == digest}
    _answer(session, ledger, [place] if ours else [], subject, nowhere)


def _answer(
    session: Session,
    ledger: Ledger,
    places: list[Place],
    subject: Mapping[str, Any],
    nowhere: str,
) -> None:
    damaged: dict[Path, SpoolError] = {}
    found = fates(session.config.spool.path, ledger, places, damaged.__setitem__)
    words = {fate.word for fate in found}
    word = next((w for w in ("left", "in_doubt", "not_left") if w in words), "not_held")
    answer = {**subject, "answer": word, "places": [_fate(fate) for fate in found]}
    session.result(answer, lambda: _show(session, found, nowhere))
    if found and subject.get("held") is False:
        session.note("It is no longer held here.")
    finish(session, damaged)


def _fate(fate: Fate) -> Mapping[str, Any]:
    place = fate.place
    return {
        "answer": fate.word,
        "node": place.lane.node,
        "stream": place.lane.stream,
        "seq": place.seq,
        "line": place.line,
        "digest": place.digest,
        "state": None if fate.state is None else fate.state.value,
        "requests": [row_answer(row, None) for row in fate.answers],
        "unanswered": [attempt_answer(place.lane, batch) for batch in fate.attempts],
        "bundles": [bundle_answer(bundle, None) for bundle in fate.bundles],
        "refused": [refused_answer(each) for each in fate.exceptions],
    }


_WORDS = {"left": "left", "in_doubt": "in doubt, sent without an answer", "not_left": "not left"}


def _show(session: Session, found: list[Fate], nowhere: str) -> None:
    for fate in found:
        place = fate.place
        where = "not sealed yet" if place.seq is None else f"segment {place.seq}"
        where += "" if place.line is None else f", line {place.line} {FROM_0}"
        session.say(f"{_WORDS[fate.word]}: {place.lane.node}/{place.lane.stream} {where}")
        if place.digest is not None:
            session.say(f"    digest {place.digest}")
        if fate.state is not None:
            session.say(f"    {fate.state.value} by the ledger")
        for row in fate.answers:
            session.say(f"    {row_line(row)}")
        for batch in fate.attempts:
            session.say(f"    {attempt_line(place.lane, batch)}")
        for bundle in fate.bundles:
            session.say(f"    {bundle_line(bundle)}")
        for each in fate.exceptions:
            where = f"line {each.line} {FROM_0}"
            session.say(f"    {where} refused {rfc3339(each.at)}: {refused_words(each)}")
    if not found:
        session.say(nowhere)
