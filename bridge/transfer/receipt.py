"""What comes back: the receipt of a relay.

A receipt is cumulative: it says all that the relay knows of a node's lanes, as spans. So it can be
lost, repeated or come late, and changes nothing that it should not. Of the beacon's answers it carries
numbers and words of a fixed list, no text of theirs.
"""

from dataclasses import dataclass

import orjson

from bridge.transfer.enclosing import DIGEST
from bridge.transfer.fields import COUNT_MAX, ID, NODE, RANGES_TEXT_MAX, STREAM, moment_in
from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import rfc3339
from spool.lane import SEQ_MAX
from spool.ranges import Range, format_ranges, parse_ranges

RECEIPT_TYPE = "application/vnd.airgap-bridge.receipt.v1+json"
RECEIPT_MAX = 8 * 1024 * 1024
"""Bytes of a receipt's envelope."""
SPANS_MAX = 20_000
"""Spans in a receipt, of all lanes."""
REFUSED_MAX = 20_000
"""Refused records in a receipt."""
FORKS_MAX = 1000
"""Segments of one lane whose number another one has."""
STATES = ("pending", "delivered", "quarantined")
CODES = ("refused", "too_large")
TEXT_MAX = 500
"""Characters of an answer of the beacon's."""
TEXT = rf"[ -~]{{0,{TEXT_MAX}}}"
"""Printable ASCII: nothing hides in it."""
_LINE_MAX = 2**31
_STATUS_MAX = 599


@dataclass(frozen=True, slots=True)
class Span:
    """Adjacent segments of one chain in one state; ``digest`` is that of the last."""

    chain: str
    first: int
    last: int
    state: str
    digest: str

    def __len__(self) -> int:
        """How many segments."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that the beacon refused: its place, the status, a word of :data:`CODES`.

    ``text`` is the beginning of the beacon's answer, empty unless the relay's operator allows some.
    """

    seq: int
    line: int
    status: int
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fork:
    """A segment whose number another one has there: what became of it, and of its refused records."""

    span: Span
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class LaneReceipt:
    """All that the relay knows of one lane; ``missing`` are numbers that it never got."""

    stream: str
    spans: tuple[Span, ...]
    refused: tuple[Refused, ...]
    missing: tuple[Range, ...]
    in_doubt: int
    forks: tuple[Fork, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A relay's word on a node's lanes; ``made_at`` in ms since 1970 UTC."""

    serial: int
    made_at: int
    relay: str
    node: str
    lanes: tuple[LaneReceipt, ...]


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes that are signed."""
    return orjson.dumps(
        {
            "v": 1,
            "serial": receipt.serial,
            "made_at": rfc3339(receipt.made_at),
            "relay": receipt.relay,
            "node": receipt.node,
            "lanes": [
                {
                    "stream": lane.stream,
                    "in_doubt": lane.in_doubt,
                    "missing": format_ranges(lane.missing),
                    "spans": [_span_out(span) for span in lane.spans],
                    "refused": [_refused_out(each) for each in lane.refused],
                    "forks": [
                        {
                            **_span_out(fork.span),
                            "refused": [_refused_out(each) for each in fork.refused],
                        }
                        for fork in lane.forks
                    ],
                }
                for lane in receipt.lanes
            ],
        }
    )


def _span_out(span: Span) -> dict[str, object]:
    return {
        "chain": span.chain,
        "first": span.first,
        "last": span.last,
        "state": span.state,
        "digest": span.digest,
    }


def _refused_out(refused: Refused) -> dict[str, object]:
    return {
        "seq": refused.seq,
        "line": refused.line,
        "status": refused.status,
        "code": refused.code,
        "text": refused.text,
    }


def decode_receipt(data: bytes) -> Receipt:
    """The receipt in ``data``.

    Raises :class:`VerificationError` ``json.*``, ``document.*``, ``ranges.form``, ``receipt.sense``.
    """
    fields = Fields(loads(data, limit=RECEIPT_MAX), "receipt")
    fields.integer("v", 1, 1)
    receipt = Receipt(
        fields.integer("serial", 1, COUNT_MAX),
        moment_in(fields, "made_at", nonsense),
        fields.text("relay", NODE),
        fields.text("node", NODE),
        tuple(_lane(item) for item in fields.objects("lanes", 0, 64)),
    )
    fields.done()
    streams = [lane.stream for lane in receipt.lanes]
    if len(set(streams)) != len(streams):
        raise nonsense("a lane stands in it twice")
    return receipt


def _lane(item: Fields) -> LaneReceipt:
    missing = item.text("missing", rf"[0-9,-]{{0,{RANGES_TEXT_MAX}}}")
    lane = LaneReceipt(
        item.text("stream", STREAM),
        tuple(_span(each) for each in item.objects("spans", 0, SPANS_MAX)),
        tuple(_refused(each) for each in item.objects("refused", 0, REFUSED_MAX)),
        parse_ranges(missing) if missing else (),
        item.integer("in_doubt", 0, COUNT_MAX),
        tuple(_fork(each) for each in item.objects("forks", 0, FORKS_MAX)),
    )
    item.done()
    last = 0
    for span in lane.spans:
        if not last < span.first <= span.last:
            raise nonsense("its spans do not ascend")
        last = span.last
    _check_order(lane.refused)
    ids = [(fork.span.first, fork.span.digest) for fork in lane.forks]
    if ids != sorted(set(ids)):
        raise nonsense("its forks are not in order")
    return lane


def _check_order(refused: tuple[Refused, ...]) -> None:
    places = [(each.seq, each.line) for each in refused]
    if places != sorted(set(places)):
        raise nonsense("its refused records are not in order")


def _fork(item: Fields) -> Fork:
    refused = tuple(_refused(each) for each in item.objects("refused", 0, REFUSED_MAX))
    fork = Fork(_span(item), refused)
    seqs = {fork.span.first, fork.span.last, *(each.seq for each in refused)}
    if len(seqs) != 1:
        raise nonsense("a fork is not one segment")
    _check_order(refused)
    return fork


def _span(item: Fields) -> Span:
    span = Span(
        item.text("chain", ID),
        item.integer("first", 1, SEQ_MAX),
        item.integer("last", 1, SEQ_MAX),
        item.choice("state", STATES),
        item.text("digest", DIGEST),
    )
    item.done()
    return span


def _refused(item: Fields) -> Refused:
    refused = Refused(
        item.integer("seq", 1, SEQ_MAX),
        item.integer("line", 0, _LINE_MAX),
        item.integer("status", 100, _STATUS_MAX),
        item.choice("code", CODES),
        item.text("text", TEXT),
    )
    item.done()
    return refused


def nonsense(why: str) -> VerificationError:
    """The error for a receipt, or the manifest around it, that says what cannot be."""
    return VerificationError(
        "receipt.sense",
        f"A receipt or its manifest contradicts itself: {why}.",
        "Take the return bundle from its source again.",
    )
