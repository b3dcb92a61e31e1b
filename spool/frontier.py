"""The frontier file ``<lane>/delivered``: what was delivered, for the day the ledger is lost.

It only saves duplicates: what it does not name is sent again. So it is capped, and of too many
ranges the longest stay.
"""

import re
from collections.abc import Sequence

import orjson

from keys.errors import VerificationError
from keys.strictjson import loads
from spool.durable import Disk, replace_file
from spool.lane import Lane
from spool.ranges import (
    ITEM_LENGTH_MAX,
    RANGES_MAX,
    ChainRanges,
    Range,
    format_ranges,
    parse_ranges,
)
from spool.safefile import read_whole

VERSION = 1
CHAIN_OVERHEAD = 80
"""Bytes of one chain's object beside its ranges: id, names, punctuation."""
FRONTIER_MAX = 64 + RANGES_MAX * (ITEM_LENGTH_MAX + CHAIN_OVERHEAD)
"""Bytes of a frontier file: at worst each range has a chain of its own."""

_CHAIN = re.compile(r"[0-9a-f]{32}\Z")


def encode(chains: Sequence[ChainRanges]) -> bytes:
    """The file's bytes for what was delivered, at most :data:`RANGES_MAX` ranges of it."""
    every = [(item, chain.chain) for chain in chains for item in chain.ranges]
    longest = sorted(every, key=lambda pair: len(pair[0]), reverse=True)[:RANGES_MAX]
    kept: dict[str, list[Range]] = {}
    for item, chain in sorted(longest):
        kept.setdefault(chain, []).append(item)
    return orjson.dumps(
        {
            "v": VERSION,
            "chains": [
                {"chain": chain, "ranges": format_ranges(ranges)} for chain, ranges in kept.items()
            ],
        }
    )


def parse(data: bytes) -> list[ChainRanges]:
    """What a frontier file says.

    Raises :class:`VerificationError` (``json.*``, ``document.*``, ``ranges.form``,
    ``frontier.form``); the caller then takes nothing as delivered.
    """
    document = loads(data, limit=FRONTIER_MAX)
    if not isinstance(document, dict) or set(document) != {"v", "chains"}:
        raise _refused("it is not an object of v and chains")
    if type(document["v"]) is not int or document["v"] != VERSION:
        raise _refused(f"its version is not {VERSION}")
    chains = document["chains"]
    if not isinstance(chains, list):
        raise _refused("its chains are no list")
    parsed = [_chain(item) for item in chains]
    if len({item.chain for item in parsed}) != len(parsed):
        raise _refused("a chain stands in it twice")
    return parsed


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


def read_frontier(lane: Lane) -> list[ChainRanges]:
    """What the lane's frontier file says; nothing where there is none, or it cannot be trusted.

    Raises :class:`OSError` where it is there and cannot be read.
    """
    try:
        return parse(read_whole(lane.delivered, FRONTIER_MAX, own=True))
    except (FileNotFoundError, VerificationError):
        return []


def write_frontier(disk: Disk, lane: Lane, chains: Sequence[ChainRanges]) -> None:
    """Replace the lane's frontier file. Raises :class:`OSError`."""
    replace_file(disk, lane.delivered, encode(chains))
