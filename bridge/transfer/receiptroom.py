"""What of a relay's books a receipt has room for: the newest.

A receipt has a size that a reader takes, and a lane may have more runs or refused records than that.
What is left out are the lowest numbers: receipts before told of them, and what a node applied it keeps.
What there is no room to call refused is not called delivered either: a segment that is a run by itself
is passed over then, and what lies below it is told. Forks take at most half of the room where the rest
wants it, and take none of that away.
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
    Span,
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
    spans, refused = _runs(lane, room - min(_forks_size(lane.forks), room // 2))
    told = replace(lane, spans=spans, refused=refused, forks=())
    return replace(told, forks=_forks(lane.forks, room - _size(told)))


def _runs(lane: LaneReceipt, room: int) -> tuple[tuple[Span, ...], tuple[Refused, ...]]:
    """The newest of the runs, with all that was refused in them."""
    items = [(span.last, _SPAN, (1, 0)) for span in lane.spans]
    items += [(each.seq, _refused_size([each]), (0, 1)) for each in lane.refused]
    items.sort(key=itemgetter(0), reverse=True)
    alone = {span.last for span in lane.spans if span.first == span.last}
    spans, refused, begin = SPANS_MAX, REFUSED_MAX, 1
    passed_over = set[int]()
    for seq, group in groupby(items, key=itemgetter(0)):
        size = more_spans = more_refused = 0
        for _, bytes_, (one_span, one_refused) in group:
            size += bytes_
            more_spans, more_refused = more_spans + one_span, more_refused + one_refused
        if size <= room and more_spans <= spans and more_refused <= refused:
            room, spans, refused = room - size, spans - more_spans, refused - more_refused
        elif seq in alone and room >= _SPAN and spans:
            passed_over.add(seq)
        else:
            begin = seq + 1
            break
    return (
        tuple(
            replace(span, first=max(span.first, begin))
            for span in lane.spans
            if span.last >= begin and span.last not in passed_over
        ),
        tuple(each for each in lane.refused if each.seq >= begin and each.seq not in passed_over),
    )


def _forks(forks: Sequence[Fork], room: int) -> tuple[Fork, ...]:
    """The newest of them that have room, in their order."""
    told: list[Fork] = []
    for fork in reversed(forks):
        size = _fork_size(fork)
        if size <= room and len(told) < FORKS_MAX and len(fork.refused) <= REFUSED_MAX:
            told.append(fork)
            room -= size
    return tuple(reversed(told))


def _forks_size(forks: Iterable[Fork]) -> int:
    return sum(_fork_size(fork) for fork in forks)


def _size(lane: LaneReceipt) -> int:
    return _SPAN * len(lane.spans) + _refused_size(lane.refused) + _forks_size(lane.forks)


def _fork_size(fork: Fork) -> int:
    return _FORK + _refused_size(fork.refused)


def _refused_size(refused: Iterable[Refused]) -> int:
    # Two of the characters that may be in a text are written as two.
    return sum(
        _REFUSED + len(each.text) + each.text.count('"') + each.text.count("\\") for each in refused
    )


def _without_text(refused: Sequence[Refused]) -> tuple[Refused, ...]:
    return tuple(replace(each, text="") for each in refused)
