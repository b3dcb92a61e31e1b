"""What of a relay's books a receipt has room for: the newest.

A receipt has a size that a reader takes, and a lane may have more runs or refused records than that.
What is left out are the lowest numbers: receipts before told of them, and what a node applied it keeps.
What there is no room to call refused is not called delivered either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from bridge.transfer.receipt import (
    FORKS_MAX,
    RECEIPT_MAX,
    REFUSED_MAX,
    SPANS_MAX,
    Fork,
    LaneReceipt,
    Receipt,
    Refused,
    encode_receipt,
)

_ENVELOPE = 2048
"""Bytes of the envelope around the receipt, at most."""
ROOM = (RECEIPT_MAX - _ENVELOPE) * 3 // 4
"""Bytes of a receipt before they become base64."""
_SPAN = len('{"chain":"","first":,"last":,"state":"quarantined","digest":""},') + 32 + 24 + 64
_REFUSED = len('{"seq":,"line":,"status":,"code":"too_large","text":""},') + 12 + 10 + 3
_FORK = _SPAN + len(',"refused":[]')


def within(receipt: Receipt, room: int = ROOM) -> Receipt:
    """``receipt``, with as much of each lane as ``room`` bytes have place for.

    Lanes share the room alike; what a short one leaves is for the longer.
    """
    bare = tuple(replace(lane, spans=(), refused=(), forks=()) for lane in receipt.lanes)
    left = room - len(encode_receipt(replace(receipt, lanes=bare)))
    fitted = dict[str, LaneReceipt]()
    for number, lane in enumerate(sorted(receipt.lanes, key=_size)):
        told = _cut(lane, left // (len(receipt.lanes) - number))
        left -= _size(told)
        fitted[lane.stream] = told
    return replace(receipt, lanes=tuple(fitted[lane.stream] for lane in receipt.lanes))


def _cut(lane: LaneReceipt, room: int) -> LaneReceipt:
    if _size(lane) > room:  # what the beacon wrote is the first that can be done without
        lane = replace(
            lane,
            refused=_without_text(lane.refused),
            forks=tuple(replace(f, refused=_without_text(f.refused)) for f in lane.forks),
        )
    begin = _begin(lane, room)
    return replace(
        lane,
        spans=tuple(
            replace(span, first=max(span.first, begin)) for span in lane.spans if span.last >= begin
        ),
        refused=tuple(each for each in lane.refused if each.seq >= begin),
        forks=tuple(fork for fork in lane.forks if fork.span.first >= begin),
    )


def _begin(lane: LaneReceipt, room: int) -> int:
    """The lowest number from which on all of ``lane`` has room."""
    items = [(span.last, _SPAN, (1, 0, 0)) for span in lane.spans]
    items += [(each.seq, _refused_size([each]), (0, 1, 0)) for each in lane.refused]
    items += [(fork.span.first, _fork_size(fork), (0, 0, 1)) for fork in lane.forks]
    spans, refused, forks = SPANS_MAX, REFUSED_MAX, FORKS_MAX
    items.sort(key=itemgetter(0), reverse=True)
    for seq, group in groupby(items, key=itemgetter(0)):
        for _, size, (one_span, one_refused, one_fork) in group:
            room -= size
            spans, refused, forks = spans - one_span, refused - one_refused, forks - one_fork
        if min(room, spans, refused, forks) < 0:
            return int(seq) + 1
    return 1


def _size(lane: LaneReceipt) -> int:
    return (
        _SPAN * len(lane.spans)
        + _refused_size(lane.refused)
        + sum(_fork_size(fork) for fork in lane.forks)
    )


def _fork_size(fork: Fork) -> int:
    return _FORK + _refused_size(fork.refused)


def _refused_size(refused: Iterable[Refused]) -> int:
    # Two of the characters that may be in a text are written as two.
    return sum(
        _REFUSED + len(each.text) + each.text.count('"') + each.text.count("\\") for each in refused
    )


def _without_text(refused: Sequence[Refused]) -> tuple[Refused, ...]:
    return tuple(replace(each, text="") for each in refused)
