"""The statement: what a seal says of its segment, in the bytes that are signed.

A statement is a small JSON object of fixed keys. It is written once, by :func:`encode`; whoever reads
one keeps the bytes, for its digest (SHA-256 of exactly these bytes) is the segment's identity. A
reader refuses whatever is not said in ``docs/formats.md``.
"""

import hashlib
from dataclasses import dataclass

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import parse_rfc3339, rfc3339
from spool.errors import RecordError
from spool.lane import NODE_NAME, RESERVED_NAMES, SEQ_MAX, STREAM_NAME
from spool.plainstatement import CHAIN, DIGEST, SEALED_WITH_RECORDS, taken_apart
from spool.ranges import Range, parse_ranges
from spool.totals import NOTHING, Totals

PAYLOAD_TYPE = "application/vnd.airgap-bridge.segment.v1+json"
VERSION = 1
STATEMENT_MAX = 32 * 1024
"""Bytes: a statement is under 1 KiB; a loss record with 1,000 ranges has 26 KiB."""
COUNT_MAX = 2**53 - 1
"""The highest sum: what every JSON reader can hold without rounding."""
NO_DIGEST = "0" * 64
NO_CHAIN = "0" * 32
"""Where a chain had to begin anew and nothing was left of the one before but its numbers."""

SEALED_WITHOUT = ("heartbeat", "loss")
FOLLOWS_WHY = ("head_lost", "moved", "fork")
"""Why a new chain began: the durable head was lost; the spool was restored or copied; a fork."""

_WHY = r"[a-z_]{1,32}"


@dataclass(frozen=True, slots=True)
class Follows:
    """The chain that a chain follows: its id, its last known number, that statement's digest."""

    chain: str
    seq: int
    digest: str
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """What is declared lost: numbers of this lane, how many records and bytes of them, why.

    ``ranges`` is empty where the records never had a number; None means that nobody can tell.
    """

    ranges: str
    records: int | None
    raw_size: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed of one segment; see ``docs/formats.md`` for each field.

    Sizes in bytes, times in milliseconds since 1970 UTC (None without records).
    """

    node: str
    stream: str
    chain: str
    seq: int
    prev: str
    records: int
    size: int
    raw_size: int
    sha256: str
    before: Totals
    first_at: int | None
    last_at: int | None
    reason: str
    policy: str = NO_DIGEST
    follows: Follows | None = None
    lost: Lost | None = None
    of: int | None = None

    @property
    def gave_up(self) -> tuple[Range, ...]:
        """The numbers that it declares lost."""
        return parse_ranges(self.lost.ranges) if self.lost is not None and self.lost.ranges else ()

    @property
    def totals(self) -> Totals:
        """What this segment holds."""
        return Totals(self.records, self.raw_size)

    @property
    def after(self) -> Totals:
        """What its chain holds up to and with it."""
        return self.before + self.totals


def digest_of(payload: bytes) -> str:
    """The identity of the segment whose statement's bytes are ``payload``."""
    return hashlib.sha256(payload).hexdigest()


def encode(statement: Statement) -> bytes:
    """The bytes of a statement, to be signed and stored."""
    said: dict[str, object] = {
        "v": VERSION,
        "node": statement.node,
        "stream": statement.stream,
        "chain": statement.chain,
        "seq": statement.seq,
        "prev": statement.prev,
        "records": statement.records,
        "size": statement.size,
        "raw_size": statement.raw_size,
        "sha256": statement.sha256,
        "before": {"records": statement.before.records, "raw_size": statement.before.raw_size},
        "first_at": None if statement.first_at is None else rfc3339(statement.first_at),
        "last_at": None if statement.last_at is None else rfc3339(statement.last_at),
        "reason": statement.reason,
        "policy": statement.policy,
    }
    if statement.follows is not None:
        follows = statement.follows
        said["follows"] = {
            "chain": follows.chain,
            "seq": follows.seq,
            "digest": follows.digest,
            "why": follows.why,
        }
    if statement.lost is not None:
        lost = statement.lost
        said["lost"] = {
            "ranges": lost.ranges,
            "records": lost.records,
            "raw_size": lost.raw_size,
            "why": lost.why,
        }
    if statement.of is not None:
        said["of"] = statement.of
    return orjson.dumps(said)


def decode(payload: bytes) -> Statement:
    """The statement in ``payload``.

    Raises :class:`VerificationError` ``json.*``, ``document.*`` or ``statement.*``.
    """
    usual = taken_apart(payload)
    statement = _decode_strictly(payload) if usual is None else _of_text(usual)
    _check_sense(statement)
    return statement


def _of_text(members: tuple[str, ...]) -> Statement:
    node, stream, chain, seq, prev, records, size, raw_size, sha256, *others = members
    records_before, raw_size_before, first_at, last_at, reason, policy = others
    before = Totals(int(records_before), int(raw_size_before))
    return Statement(
        node, stream, chain, int(seq), prev, int(records), int(size), int(raw_size), sha256,
        before, _time_of("first_at", first_at), _time_of("last_at", last_at), reason, policy,
    )  # fmt: skip


def _decode_strictly(payload: bytes) -> Statement:
    fields = Fields(loads(payload, limit=STATEMENT_MAX), "statement")
    fields.integer("v", VERSION, VERSION)
    before = fields.object("before")
    statement = Statement(
        node=fields.text("node", NODE_NAME),
        stream=fields.text("stream", STREAM_NAME),
        chain=fields.text("chain", CHAIN),
        seq=fields.integer("seq", 1, SEQ_MAX),
        prev=fields.text("prev", DIGEST),
        records=fields.integer("records", 0, COUNT_MAX),
        size=fields.integer("size", 0, COUNT_MAX),
        raw_size=fields.integer("raw_size", 0, COUNT_MAX),
        sha256=fields.text("sha256", DIGEST),
        before=Totals(
            before.integer("records", 0, COUNT_MAX), before.integer("raw_size", 0, COUNT_MAX)
        ),
        first_at=_time(fields, "first_at"),
        last_at=_time(fields, "last_at"),
        reason=fields.choice("reason", SEALED_WITH_RECORDS + SEALED_WITHOUT),
        policy=fields.text("policy", DIGEST),
        follows=_follows(fields),
        lost=_lost(fields),
        of=fields.integer("of", 1, SEQ_MAX) if "of" in fields else None,
    )
    before.done()
    fields.done()
    return statement


def _time(fields: Fields, name: str) -> int | None:
    if fields.is_null(name):
        return None
    return _time_of(name, fields.text(name, r"[0-9T:.Z-]{24}"))


def _time_of(name: str, text: str) -> int:
    try:
        return parse_rfc3339(text)
    except RecordError as error:
        raise _senseless(f"its {name} is no time") from error


def _follows(fields: Fields) -> Follows | None:
    if "follows" not in fields:
        return None
    inner = fields.object("follows")
    follows = Follows(
        inner.text("chain", CHAIN),
        inner.integer("seq", 0, SEQ_MAX),
        inner.text("digest", DIGEST),
        inner.choice("why", FOLLOWS_WHY),
    )
    inner.done()
    return follows


def _lost(fields: Fields) -> Lost | None:
    if "lost" not in fields:
        return None
    inner = fields.object("lost")
    lost = Lost(
        inner.text("ranges", r"[0-9,-]*"),
        None if inner.is_null("records") else inner.integer("records", 0, COUNT_MAX),
        None if inner.is_null("raw_size") else inner.integer("raw_size", 0, COUNT_MAX),
        inner.text("why", _WHY),
    )
    inner.done()
    if lost.ranges:
        parse_ranges(lost.ranges)
    return lost


def _senseless(what: str) -> VerificationError:
    return VerificationError(
        "statement.sense",
        f"A statement contradicts itself: {what}.",
        "Do not use this segment; it was not made by this program.",
    )


def _check_sense(statement: Statement) -> None:
    """Refuse fields that are each allowed but not together."""
    bare = statement.reason in SEALED_WITHOUT
    times = (statement.first_at, statement.last_at)
    if bare and (statement.totals != NOTHING or statement.size or times != (None, None)):
        raise _senseless(f"a {statement.reason} holds records")
    if not bare and (not statement.records or not statement.size or None in times):
        raise _senseless("it holds no records")
    if statement.raw_size < 2 * statement.records:
        raise _senseless("it holds more records than bytes for them")
    if (statement.lost is not None) != (statement.reason == "loss"):
        raise _senseless("a loss and its reason do not go together")
    if statement.of is not None and statement.reason != "recovered":
        raise _senseless("it replaces a segment but was not recovered")
    if statement.of is not None and statement.of >= statement.seq:
        raise _senseless("it replaces a segment that comes after it")
    first_at, last_at = times
    if first_at is not None and last_at is not None and first_at > last_at:
        raise _senseless("its last record came before its first")
    if statement.node in RESERVED_NAMES:
        raise _senseless("no node can have its name")
    _check_link(statement)


def _check_link(statement: Statement) -> None:
    follows = statement.follows
    if statement.prev == NO_DIGEST:
        if statement.before != NOTHING:
            raise _senseless("the first of a chain has something before it")
        if (follows is None) != (statement.seq == 1):
            raise _senseless("a first number other than 1 must follow a chain, and 1 none")
    elif follows is not None:
        raise _senseless("it follows another chain but is not the first of its own")
    elif statement.seq == 1:
        raise _senseless("number 1 has a predecessor")
    if follows is not None:
        if follows.seq >= statement.seq:
            raise _senseless("it follows a number that comes after it")
        if follows.chain == statement.chain:
            raise _senseless("its chain follows itself")
