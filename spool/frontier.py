"""The frontier file ``<lane>/delivered``: what was delivered, for the day the ledger is lost.

It saves duplicates: what it does not name is sent again. Of what it names it also says which single
records went another way, so that none of those passes for delivered then. It is capped: of too many
ranges the longest stay, and a segment with records that there is no room for is not named.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, JsonValue, loads
from spool.clock import WALL_MS_MAX
from spool.durable import Disk, replace_file
from spool.lane import SEQ_MAX, Lane
from spool.ledger_audit import DISCARDED, RecordException
from spool.ranges import (
    ITEM_LENGTH_MAX,
    RANGES_MAX,
    ChainRanges,
    Range,
    format_ranges,
    parse_ranges,
)
from spool.safefile import read_whole
from spool.statement import COUNT_MAX

VERSION = 2
PLAIN_VERSION = 1
"""Of a file that names ranges alone, as long as there is nothing more to say."""
CHAIN_OVERHEAD = 80
"""Bytes of one chain's object beside its ranges: id, names, punctuation."""
REFUSED_MAX = 1_000
"""Refused records that it lists. The segments of more are not named; they are kept for a person anyhow,
and if they are sent again they are refused again."""
TEXT_MAX = 200
"""Characters kept of an answer; it is shortened, the whole of it stands in the ledger."""
GIVEN_UP_MAX = 100_000
"""Records that a person gave up, and it lists. The segments of more are not named: they are never
deleted, which a daemon's log tells, and sent again if the ledger is lost."""
_REFUSED_BYTES = 6 * TEXT_MAX + 160
_GIVEN_UP_BYTES = ITEM_LENGTH_MAX + 64
FRONTIER_MAX = (
    256
    + RANGES_MAX * (ITEM_LENGTH_MAX + CHAIN_OVERHEAD)
    + REFUSED_MAX * _REFUSED_BYTES
    + GIVEN_UP_MAX * _GIVEN_UP_BYTES
)
"""Bytes of a frontier file: at worst each range has a chain, or a segment, of its own."""

_CHAIN = re.compile(r"[0-9a-f]{32}\Z")
_PLAIN_NAMES = {"v", "chains"}
_NAMES = _PLAIN_NAMES | {"in_doubt", "partial", "refused", "given_up"}


@dataclass(frozen=True, slots=True)
class Frontier:
    """What was delivered of a lane; ``exceptions`` are records within it that went another way.

    ``in_doubt`` and ``partial`` are the lane's sums, see :class:`~spool.ledger_counts.LaneCounts`.
    ``unnamed`` segments were delivered, and stand in no file: too many of their records were given up.
    """

    chains: Sequence[ChainRanges] = ()
    exceptions: Sequence[RecordException] = ()
    in_doubt: int = 0
    partial: int = 0
    unnamed: int = 0


def encode(frontier: Frontier) -> bytes:
    """The file's bytes, with at most :data:`RANGES_MAX` ranges of what was delivered."""
    every = [(item, chain.chain) for chain in frontier.chains for item in chain.ranges]
    longest = sorted(every, key=lambda pair: len(pair[0]), reverse=True)[:RANGES_MAX]
    kept: dict[str, list[Range]] = {}
    for item, chain in sorted(longest):
        kept.setdefault(chain, []).append(item)
    said: dict[str, object] = {
        "v": PLAIN_VERSION,
        "chains": [
            {"chain": chain, "ranges": format_ranges(ranges)} for chain, ranges in kept.items()
        ],
    }
    if frontier.exceptions or frontier.in_doubt or frontier.partial:
        said["v"] = VERSION
        said |= {"in_doubt": frontier.in_doubt, "partial": frontier.partial}
        said["refused"] = [
            {
                "seq": each.seq,
                "line": each.line,
                "at": each.at,
                "verdict": each.verdict,
                "status": each.status,
                "text": each.text[:TEXT_MAX],
            }
            for each in frontier.exceptions
            if each.verdict != DISCARDED
        ]
        said["given_up"] = [
            {"seq": seq, "lines": format_ranges(lines), "at": at}
            for seq, lines, at in given_up(frontier.exceptions)
        ]
    return orjson.dumps(said)


def given_up(exceptions: Iterable[RecordException]) -> Iterator[tuple[int, list[Range], int]]:
    """Segments with the lines, counted from 1, that a person gave up, and since when at most (ms)."""
    found = sorted(
        (each.seq, each.line, each.at) for each in exceptions if each.verdict == DISCARDED
    )
    for seq, group in groupby(found, lambda row: row[0]):
        rows = list(group)
        runs: list[tuple[int, int]] = []  # of very many lines most lie side by side
        for _, line, _ in rows:
            first = runs.pop()[0] if runs and runs[-1][1] == line else line + 1
            runs.append((first, line + 1))
        yield seq, [Range(*run) for run in runs], min(at for *_, at in rows)


def parse(data: bytes) -> Frontier:
    """What a frontier file says.

    Raises :class:`VerificationError` (``json.*``, ``document.*``, ``ranges.form``,
    ``frontier.form``); the caller then takes nothing as delivered.
    """
    document = loads(data, limit=FRONTIER_MAX)
    if not isinstance(document, dict) or set(document) not in (_PLAIN_NAMES, _NAMES):
        raise _refused("it is not an object of v, chains, and what its version has beside")
    version = PLAIN_VERSION if set(document) == _PLAIN_NAMES else VERSION
    if type(document["v"]) is not int or document["v"] != version:
        raise _refused(f"its version is not {version}")
    chains = document["chains"]
    if not isinstance(chains, list):
        raise _refused("its chains are no list")
    parsed = [_chain(item) for item in chains]
    if len({item.chain for item in parsed}) != len(parsed):
        raise _refused("a chain stands in it twice")
    return Frontier(parsed) if version == PLAIN_VERSION else _with_singles(document, parsed)


def _with_singles(document: JsonValue, chains: list[ChainRanges]) -> Frontier:
    fields = Fields(document, "file of delivered numbers")
    refused = [_exception(item) for item in fields.objects("refused", 0, REFUSED_MAX)]
    exceptions = list(refused)
    for item in fields.objects("given_up", 0, GIVEN_UP_MAX):
        exceptions += _given_up(item, GIVEN_UP_MAX - len(exceptions) + len(refused))
    if len({(each.seq, each.line) for each in exceptions}) != len(exceptions):
        raise _refused("a record stands in it twice")
    return Frontier(
        chains,
        sorted(exceptions, key=lambda each: (each.seq, each.line)),
        fields.integer("in_doubt", 0, COUNT_MAX),
        fields.integer("partial", 0, COUNT_MAX),
    )


def _exception(fields: Fields) -> RecordException:
    found = RecordException(
        fields.integer("seq", 1, SEQ_MAX),
        fields.integer("line", 0, SEQ_MAX),
        fields.integer("at", 0, WALL_MS_MAX),
        fields.text("verdict", r"(?!discarded\Z)[a-z_]{1,32}"),
        fields.integer("status", 0, 999),
        fields.text("text", rf"(?s:.){{0,{TEXT_MAX}}}"),
    )
    fields.done()
    return found


def _given_up(fields: Fields, most: int) -> Iterator[RecordException]:
    seq, at = fields.integer("seq", 1, SEQ_MAX), fields.integer("at", 0, WALL_MS_MAX)
    lines = parse_ranges(fields.text("lines", r"[0-9,-]+"), limit=GIVEN_UP_MAX)
    fields.done()
    if sum(map(len, lines)) > most:
        raise _refused("it gives more records up than it may name")
    for part in lines:
        for number in range(part.first, part.last + 1):
            yield RecordException(seq, number - 1, at, DISCARDED, 0, "")


def _chain(item: object) -> ChainRanges:
    if not isinstance(item, dict) or set(item) != {"chain", "ranges"}:
        raise _refused("a chain is not an object of chain and ranges")
    chain, ranges = item["chain"], item["ranges"]
    if not isinstance(chain, str) or not _CHAIN.match(chain) or not isinstance(ranges, str):
        raise _refused("a chain's id or its ranges are of another form")
    return ChainRanges(chain, parse_ranges(ranges))


def _refused(why: str) -> VerificationError:
    return VerificationError(
        "frontier.form",
        f"A file of delivered numbers is damaged: {why}.",
        "Remove it; what it named is sent again if the ledger is lost, too.",
    )


def read_frontier(lane: Lane) -> Frontier:
    """What the lane's frontier file says; nothing where there is none, or it cannot be trusted.

    Raises :class:`OSError` where it is there and cannot be read.
    """
    try:
        return parse(read_whole(lane.delivered, FRONTIER_MAX, own=True))
    except (FileNotFoundError, VerificationError):
        return Frontier()


def write_frontier(disk: Disk, lane: Lane, frontier: Frontier) -> None:
    """Replace the lane's frontier file. Raises :class:`OSError`."""
    replace_file(disk, lane.delivered, encode(frontier))
