"""Manifests and receipts at the bounds of their fields: what fits is read, the rest is refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from bridge.transfer.fields import COUNT_MAX, SEGMENTS_MAX
from bridge.transfer.lanesums import sums_of
from bridge.transfer.manifest import (
    ELSEWHERE_MAX,
    NOTE_MAX,
    Packed,
    check_note,
    decode,
    encode,
    name_of,
    numbers_of,
    unlike,
)
from bridge.transfer.receipt import FORKS_MAX, Span, decode_receipt, encode_receipt
from bridge.transfer.returnmanifest import decode_return, encode_return
from keys.errors import VerificationError
from keys.rotation import ROTATION_MAX, ROTATIONS_MAX
from spool.lane import SEQ_MAX
from spool.ranges import RANGES_MAX, Range, format_ranges
from spool.segment import SEGMENT_STORED_MAX
from spool.statement import NO_DIGEST, Lost, Statement
from spool.totals import NOTHING
from tests.golden import bundles as golden
from tests.golden.build import compact

Document = dict[str, Any]
Change = Callable[[Document], object]

LATER = "2026-12-01T00:00:00.000Z"
EARLIER = "2020-01-01T00:00:00.000Z"


def lane_of(document: Document) -> Document:
    found: Document = document["lanes"][0]
    return found


def lane(**changes: object) -> Change:
    return lambda document: lane_of(document).update(changes)


def head(**changes: object) -> Change:
    return lambda document: lane_of(document)["head"].update(changes)


def member(**changes: object) -> Change:
    return lambda document: document["members"][0].update(changes)


def sent(number: int, **changes: object) -> Change:
    return lambda document: document["elsewhere"][number].update(changes)


def rotation(**changes: object) -> Document:
    return {"name": "keys/000001.dsse.json", "size": 1, "sha256": "a" * 64} | changes


def sents(count: int) -> list[Document]:
    chain = lane_of(golden.manifest_2())["head"]["chain"]
    return [
        {"stream": "logs", "chain": chain, "first": seq, "last": seq, "digest": "a" * 64}
        for seq in range(1, count + 1)
    ]


def members(*places: tuple[str, int], order: Sequence[str] = ()) -> Change:
    """These segments of these streams in the place of all others."""

    def change(document: Document) -> None:
        (known,) = document["lanes"]
        document["members"] = [
            {"name": name_of("prod-1", stream, seq), "size": 1, "digest": "a" * 64}
            for stream, seq in places
        ]
        document["lanes"] = [
            known
            | {"stream": name, "ranges": format_ranges(Range(n, n) for s, n in places if s == name)}
            for name in order or dict(places)
        ]
        for each in document["lanes"]:
            each["head"]["seq"] = SEQ_MAX

    return change


FIT: dict[str, Change] = {
    "nothing": members(),
    "two streams": members(("logs", 4), ("logs", 5), ("traces", 1)),
    "more holes than a text has room for elsewhere": members(
        *(("logs", seq) for seq in range(1, 2 * RANGES_MAX + 4, 2))
    ),
    "the first bundle": lambda d: d.update(serial=1, received=0),
    "the last": lambda d: d.update(serial=COUNT_MAX, received=COUNT_MAX),
    "the longest note": lambda d: d.update(note="n" * NOTE_MAX),
    "no note": lambda d: d.update(note=""),
    "the most records": lane(records=COUNT_MAX, raw_size=COUNT_MAX),
    "records without bytes": lane(raw_size=0),
    "no records": lane(records=0, raw_size=0, first_at=None, last_at=None),
    "all in one moment": lane(first_at=EARLIER, last_at=EARLIER),
    "the last number": head(seq=SEQ_MAX),
    "the head itself is in it": head(seq=2),
    "the largest segment": member(size=SEGMENT_STORED_MAX),
    "the smallest": member(size=1),
    "a loss of nobody knows what": lane(lost=[{"ranges": "", "records": None}]),
    "a loss of none": lane(lost=[{"ranges": "7", "records": 0}]),
    "a loss of many": lane(lost=[{"ranges": "3-9,11", "records": COUNT_MAX}]),
    "a rotation": lambda d: d.update(rotations=[rotation()]),
    "the largest rotation": lambda d: d.update(rotations=[rotation(size=ROTATION_MAX)]),
    "the most rotations": lambda d: d.update(rotations=[rotation()] * ROTATIONS_MAX),
    "nothing sent": lambda d: d.update(elsewhere=[]),
    "one number sent": sent(0, last=3),
    "the last number sent": sent(1, first=SEQ_MAX, last=SEQ_MAX),
    "the first number sent": sent(0, first=1),
    "sent number by number": lambda d: d.update(elsewhere=sents(ELSEWHERE_MAX)),
    "sent in two streams": sent(0, stream="logs", first=8, last=9),
}

BEYOND: dict[str, tuple[Change, str]] = {
    "streams in another order": (members(("traces", 1), ("logs", 4)), "manifest.sense"),
    "lanes in another order": (
        members(("logs", 4), ("traces", 1), order=("traces", "logs")),
        "manifest.sense",
    ),
    "a lane without segments": (members(("logs", 4), order=("logs", "traces")), "document.field"),
    "no version": (lambda d: d.pop("v"), "document.field"),
    "an older version": (lambda d: d.update(v=1), "document.field"),
    "a newer version": (lambda d: d.update(v=3), "document.field"),
    "serial 0": (lambda d: d.update(serial=0), "document.field"),
    "a serial too high": (lambda d: d.update(serial=COUNT_MAX + 1), "json.number"),
    "received below 0": (lambda d: d.update(received=-1), "document.field"),
    "received too high": (lambda d: d.update(received=COUNT_MAX + 1), "json.number"),
    "a note too long": (lambda d: d.update(note="n" * (NOTE_MAX + 1)), "document.field"),
    "another id": (lambda d: d.update(id="A" * 32), "document.field"),
    "a sender that is no name": (lambda d: d.update({"from": "-"}), "document.field"),
    "a recipient that is no name": (lambda d: d.update(to="A"), "document.field"),
    "a time in another form": (lambda d: d.update(made_at=EARLIER[:-5] + "Z"), "document.field"),
    "one more member in a lane": (lane(more=1), "document.unknown_key"),
    "one more in a head": (head(more=1), "document.unknown_key"),
    "one more in a member": (member(more=1), "document.unknown_key"),
    "one more in a loss": (
        lane(lost=[{"ranges": "7", "records": 0, "more": 1}]),
        "document.unknown_key",
    ),
    "one more in what was sent": (sent(0, more=1), "document.unknown_key"),
    "one more in a rotation": (
        lambda d: d.update(rotations=[rotation(more=1)]),
        "document.unknown_key",
    ),
    "a lane of no node": (lane(node="-"), "document.field"),
    "a lane of no stream": (lane(stream="-"), "document.field"),
    "no numbers": (lane(ranges=""), "document.field"),
    "numbers that do not ascend": (lane(ranges="2,1"), "ranges.form"),
    "records below 0": (lane(records=-1), "document.field"),
    "too many records": (lane(records=COUNT_MAX + 1), "json.number"),
    "bytes below 0": (lane(raw_size=-1), "document.field"),
    "too many bytes": (lane(raw_size=COUNT_MAX + 1), "json.number"),
    "a first time that is none": (lane(first_at="2026-02-30T00:00:00.000Z"), "manifest.sense"),
    "a last time that is none": (lane(last_at="2026-02-30T00:00:00.000Z"), "manifest.sense"),
    "a first time alone": (lane(last_at=None), "manifest.sense"),
    "a last time alone": (lane(first_at=None), "manifest.sense"),
    "an end before its begin": (lane(first_at=LATER), "manifest.sense"),
    "times without records": (lane(records=0), "manifest.sense"),
    "records without times": (lane(first_at=None, last_at=None), "manifest.sense"),
    "a head of no chain": (head(chain="c"), "document.field"),
    "a head without a number": (head(seq=0), "document.field"),
    "a head too high": (head(seq=SEQ_MAX + 1), "document.field"),
    "a head below the segments": (head(seq=1), "manifest.sense"),
    "a head without a digest": (head(digest="c" * 63), "document.field"),
    "a loss of no numbers that are some": (
        lane(lost=[{"ranges": "9-3", "records": 0}]),
        "ranges.form",
    ),
    "a loss in words": (lane(lost=[{"ranges": "all", "records": 0}]), "document.field"),
    "a loss of less than none": (lane(lost=[{"ranges": "7", "records": -1}]), "document.field"),
    "a loss of too many": (
        lane(lost=[{"ranges": "7", "records": COUNT_MAX + 1}]),
        "json.number",
    ),
    "too many losses": (
        lane(lost=[{"ranges": "7", "records": 0}] * (SEGMENTS_MAX + 1)),
        "document.field",
    ),
    "too many lanes": (
        lambda d: d.update(lanes=d["lanes"] * (SEGMENTS_MAX + 1)),
        "document.field",
    ),
    "too many members": (
        lambda d: d.update(members=d["members"][:1] * (SEGMENTS_MAX + 1)),
        "document.field",
    ),
    "an empty segment": (member(size=0), "document.field"),
    "a segment too large": (member(size=SEGMENT_STORED_MAX + 1), "document.field"),
    "a segment without a digest": (member(digest=""), "document.field"),
    "segment 0": (member(name=name_of("prod-1", "transactions", 0)), "manifest.sense"),
    "another name": (member(name="segments/prod-1/transactions/1.ndjson.zst"), "document.field"),
    "an empty rotation": (lambda d: d.update(rotations=[rotation(size=0)]), "document.field"),
    "a rotation too large": (
        lambda d: d.update(rotations=[rotation(size=ROTATION_MAX + 1)]),
        "document.field",
    ),
    "a rotation of another name": (
        lambda d: d.update(rotations=[rotation(name="keys/1.dsse.json")]),
        "document.field",
    ),
    "too many rotations": (
        lambda d: d.update(rotations=[rotation()] * (ROTATIONS_MAX + 1)),
        "document.field",
    ),
    "sent of no stream": (sent(0, stream=""), "document.field"),
    "sent of no chain": (sent(0, chain=""), "document.field"),
    "sent from 0 on": (sent(0, first=0), "document.field"),
    "sent beyond the last": (sent(1, last=SEQ_MAX + 1), "document.field"),
    "sent from beyond the last": (sent(1, first=SEQ_MAX + 1), "document.field"),
    "sent up to 0": (sent(0, first=1, last=0), "document.field"),
    "sent without a digest": (sent(0, digest="a"), "document.field"),
    "sent backwards": (sent(0, last=2), "manifest.sense"),
    "sent twice": (sent(1, first=4), "manifest.sense"),
    "sent in another order of streams": (sent(1, stream="logs"), "manifest.sense"),
    "too many sent": (
        lambda d: d.update(elsewhere=sents(ELSEWHERE_MAX + 1)),
        "document.field",
    ),
    "what was sent not told": (lambda d: d.pop("elsewhere"), "document.field"),
}


@pytest.mark.parametrize("change", FIT.values(), ids=FIT)
def test_a_manifest_at_its_bounds_is_read_and_written_again_to_the_byte(change: Change) -> None:
    document = golden.manifest_2()
    change(document)
    data = compact(document)
    assert encode(decode(data, 2)) == data


@pytest.mark.parametrize(("change", "problem"), BEYOND.values(), ids=BEYOND)
def test_a_manifest_beyond_its_bounds_is_refused_by_name(change: Change, problem: str) -> None:
    document = golden.manifest_2()
    change(document)
    with pytest.raises(VerificationError) as caught:
        decode(compact(document), 2)
    assert caught.value.id == problem


def test_each_version_of_a_manifest_is_read_as_that_one_alone() -> None:
    assert decode(compact(golden.manifest())).version == 1
    assert decode(compact(golden.manifest_2()), 2).version == 2
    for document, version in [(golden.manifest(), 2), (golden.manifest_2(), 1)]:
        with pytest.raises(VerificationError) as caught:
            decode(compact(document), version)
        assert caught.value.id == "document.field"


def test_a_manifest_of_version_1_says_nothing_of_what_was_sent() -> None:
    with pytest.raises(VerificationError) as caught:
        decode(compact(golden.manifest(elsewhere=[])))
    assert caught.value.id == "document.unknown_key"


def packed(node: str, stream: str, *numbers: int) -> list[Packed]:
    return [Packed(node, stream, seq, 1, "a" * 64) for seq in numbers]


def test_the_numbers_of_each_lane_are_those_of_its_members() -> None:
    members = [
        *packed("a", "logs", 1, 2, 3, 5),
        *packed("a", "traces", 6),
        *packed("b", "traces", 7, 9, 10),
    ]
    assert list(numbers_of(members)) == [
        (("a", "logs"), [Range(1, 3), Range(5, 5)]),
        (("a", "traces"), [Range(6, 6)]),
        (("b", "traces"), [Range(7, 7), Range(9, 10)]),
    ]


HEAD = ("c" * 32, 9, "d" * 64)


def said(**changes: object) -> Statement:
    one = Statement(
        "n1", "logs", HEAD[0], 1, NO_DIGEST, 1, 1, 1, "e" * 64, NOTHING, 1_000, 1_000, "age"
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_the_sums_of_a_lane_are_those_of_its_segments_and_its_times_the_first_and_the_last() -> (
    None
):
    lost = Lost("3-4", 7, 70, "room")
    found = sums_of(
        "n1",
        "logs",
        [Range(1, 4)],
        [
            said(records=2, raw_size=20, first_at=5_000, last_at=9_000),
            said(records=3, raw_size=30, first_at=4_000, last_at=6_000),
            said(records=0, raw_size=0, first_at=None, last_at=None, lost=lost),
            said(records=0, raw_size=0, first_at=None, last_at=None, lost=None),
        ],
        HEAD,
    )
    assert (found.node, found.stream, found.ranges, found.segments) == (
        "n1", "logs", (Range(1, 4),), 4,
    )  # fmt: skip
    assert (found.records, found.raw_size) == (5, 50)
    assert (found.first_at, found.last_at) == (4_000, 9_000)
    assert (found.head_chain, found.head_seq, found.head_digest) == HEAD
    assert found.lost == (("3-4", 7),)


def test_a_lane_without_records_has_no_times() -> None:
    empty = said(records=0, raw_size=0, first_at=None, last_at=None, lost=None)
    found = sums_of("n1", "logs", [Range(1, 1)], [empty], HEAD)
    assert (found.first_at, found.last_at, found.lost) == (None, None, ())


def test_a_lane_of_which_a_manifest_says_something_else_than_its_segments_is_named() -> None:
    one, two = said(seq=1), said(seq=2)
    lanes = tuple(
        sums_of("n1", stream, [Range(1, 2)], [one, two], HEAD) for stream in ("logs", "traces")
    )
    told = replace(decode(compact(golden.manifest())), lanes=lanes)
    held = {("n1", "logs"): [one, two], ("n1", "traces"): [one, two]}
    assert list(unlike(told, held)) == []
    (found,) = unlike(told, held | {("n1", "traces"): [one, replace(two, records=two.records + 1)]})
    assert found.id == "manifest.sums"
    assert "n1/traces" in found.message


def test_a_note_is_given_back_or_refused() -> None:
    assert check_note("week 48") == "week 48"
    assert check_note("n" * NOTE_MAX) == "n" * NOTE_MAX
    for text in ("n" * (NOTE_MAX + 1), "a\nb", "a\u202eb", "a\n", "a\udcffb"):
        with pytest.raises(VerificationError) as caught:
            check_note(text)
        assert caught.value.id == "manifest.note"


def test_a_span_has_as_many_segments_as_numbers() -> None:
    assert [len(Span("c" * 32, 3, last, "pending", "d" * 64)) for last in (3, 4, 9)] == [1, 2, 7]


def span(**changes: object) -> Change:
    return lambda document: lane_of(document)["spans"][0].update(changes)


def refused(**changes: object) -> Change:
    return lambda document: lane_of(document)["refused"][0].update(changes)


def fork(**changes: object) -> Change:
    return lambda document: lane_of(document)["forks"][0].update(changes)


def spans(*numbers: tuple[int, int]) -> Change:
    def change(document: Document) -> None:
        (first,) = lane_of(document)["spans"]
        lane_of(document)["spans"] = [first | {"first": low, "last": high} for low, high in numbers]

    return change


def refusals(*places: tuple[int, int], of_fork: bool = False) -> Change:
    def change(document: Document) -> None:
        (known,) = lane_of(document)["refused"]
        target = lane_of(document)["forks"][0] if of_fork else lane_of(document)
        target["refused"] = [known | {"seq": seq, "line": line} for seq, line in places]

    return change


def forks(*ids: tuple[int, str]) -> Change:
    def change(document: Document) -> None:
        (known,) = lane_of(document)["forks"]
        lane_of(document)["forks"] = [
            known | {"first": seq, "last": seq, "digest": mark * 64} for seq, mark in ids
        ]

    return change


def lanes(*streams: str) -> Change:
    return lambda document: document.update(
        lanes=[lane_of(document) | {"stream": stream} for stream in streams]
    )


RECEIPT_FITS: dict[str, Change] = {
    "the last receipt": lambda d: d.update(serial=COUNT_MAX),
    "the first": lambda d: d.update(serial=1),
    "no lane": lambda d: d.update(lanes=[]),
    "as many lanes as there may be": lanes(*(f"s{number}" for number in range(64))),
    "lanes in any order": lanes("b", "a"),
    "much in doubt": lane(in_doubt=COUNT_MAX),
    "something missing": lane(missing="3-9,11"),
    "no spans": lane(spans=[], refused=[], forks=[]),
    "one number": spans((1, 1), (2, 2), (4, 9)),
    "the last number": spans((SEQ_MAX, SEQ_MAX)),
    "a quarantined one": span(state="quarantined"),
    "a pending one": span(state="pending"),
    "a record of high number": refused(line=2**31),
    "the lowest status": refused(status=100),
    "the highest": refused(status=599),
    "a record too large": refused(code="too_large"),
    "an answer": refused(text="~" * 500),
    "several records refused": refusals((1, 5), (2, 0), (2, 1)),
    "several of a fork": refusals((2, 0), (2, 1), of_fork=True),
    "several forks": forks((2, "e"), (2, "f"), (3, "a")),
    "as many forks as there may be": forks(*((seq, "f") for seq in range(1, FORKS_MAX + 1))),
    "the last number of a record": refused(seq=SEQ_MAX),
    "the first number of a record": refused(seq=1),
}

RECEIPT_BEYOND: dict[str, tuple[Change, str]] = {
    "another version": (lambda d: d.update(v=2), "document.field"),
    "version 0": (lambda d: d.update(v=0), "document.field"),
    "serial 0": (lambda d: d.update(serial=0), "document.field"),
    "a serial too high": (lambda d: d.update(serial=COUNT_MAX + 1), "json.number"),
    "a time that is none": (
        lambda d: d.update(made_at="2026-02-30T00:00:00.000Z"),
        "receipt.sense",
    ),
    "a relay that is no name": (lambda d: d.update(relay=""), "document.field"),
    "a node that is no name": (lambda d: d.update(node=""), "document.field"),
    "one more": (lambda d: d.update(more=1), "document.unknown_key"),
    "one more in a lane": (lane(more=1), "document.unknown_key"),
    "one more in a span": (span(more=1), "document.unknown_key"),
    "one more in a record": (refused(more=1), "document.unknown_key"),
    "one more in a fork": (fork(more=1), "document.unknown_key"),
    "too many lanes": (lanes(*(f"s{number}" for number in range(65))), "document.field"),
    "a lane twice": (lanes("logs", "logs"), "receipt.sense"),
    "a lane of no stream": (lane(stream=""), "document.field"),
    "less than none in doubt": (lane(in_doubt=-1), "document.field"),
    "too much in doubt": (lane(in_doubt=COUNT_MAX + 1), "json.number"),
    "missing in words": (lane(missing="all"), "document.field"),
    "missing that does not ascend": (lane(missing="9-3"), "ranges.form"),
    "number 0": (spans((0, 2)), "document.field"),
    "up to 0": (spans((1, 0)), "document.field"),
    "backwards": (spans((2, 1)), "receipt.sense"),
    "one over the other": (spans((1, 4), (4, 5)), "receipt.sense"),
    "in another order": (spans((4, 5), (1, 2)), "receipt.sense"),
    "a number too high": (spans((1, SEQ_MAX + 1)), "document.field"),
    "a first number too high": (spans((SEQ_MAX + 1, SEQ_MAX)), "document.field"),
    "no chain": (span(chain=""), "document.field"),
    "another state": (span(state="exported"), "document.field"),
    "no digest": (span(digest=""), "document.field"),
    "a record of segment 0": (refused(seq=0), "document.field"),
    "a record of a segment too high": (refused(seq=SEQ_MAX + 1), "document.field"),
    "a record below 0": (refused(line=-1), "document.field"),
    "a record too high": (refused(line=2**31 + 1), "document.field"),
    "a status too low": (refused(status=99), "document.field"),
    "a status too high": (refused(status=600), "document.field"),
    "another word": (refused(code="delivered"), "document.field"),
    "an answer too long": (refused(text="~" * 501), "document.field"),
    "an answer that hides something": (refused(text="\x7f"), "document.field"),
    "a record twice": (refusals((2, 0), (2, 0)), "receipt.sense"),
    "records in another order": (refusals((2, 1), (2, 0)), "receipt.sense"),
    "segments in another order": (refusals((2, 0), (1, 5)), "receipt.sense"),
    "a fork of two": (fork(last=3), "receipt.sense"),
    "a record of another fork": (refusals((1, 0), of_fork=True), "receipt.sense"),
    "a fork's record twice": (refusals((2, 0), (2, 0), of_fork=True), "receipt.sense"),
    "a fork twice": (forks((2, "f"), (2, "f")), "receipt.sense"),
    "forks in another order": (forks((3, "a"), (2, "f")), "receipt.sense"),
    "forks of one number in another order": (forks((2, "f"), (2, "e")), "receipt.sense"),
    "too many forks": (forks(*((s, "f") for s in range(1, FORKS_MAX + 2))), "document.field"),
}


@pytest.mark.parametrize("change", RECEIPT_FITS.values(), ids=RECEIPT_FITS)
def test_a_receipt_at_its_bounds_is_read_and_written_again_to_the_byte(change: Change) -> None:
    document = golden.forked()
    change(document)
    data = compact(document)
    assert encode_receipt(decode_receipt(data)) == data


@pytest.mark.parametrize(("change", "problem"), RECEIPT_BEYOND.values(), ids=RECEIPT_BEYOND)
def test_a_receipt_beyond_its_bounds_is_refused_by_name(change: Change, problem: str) -> None:
    document = golden.forked()
    change(document)
    with pytest.raises(VerificationError) as caught:
        decode_receipt(compact(document))
    assert caught.value.id == problem


def named(*names: str) -> Change:
    def change(document: Document) -> None:
        (receipt,) = document["members"]
        document["members"] = [receipt | {"name": name} for name in names]

    return change


RECEIPT_NAME, TOKEN_NAME = "receipt.dsse.json", "token.jwt"
RETURN_FITS: dict[str, Change] = {
    "the first": lambda d: d.update(serial=1),
    "the last": lambda d: d.update(serial=COUNT_MAX),
    "a token": named(RECEIPT_NAME, TOKEN_NAME),
    "a relay that reads nothing": lambda d: d.update(accepts=[]),
    "one that reads much": lambda d: d.update(accepts=[f"segment.v{n}" for n in range(64)]),
    "the longest words": lambda d: d.update(accepts=["x" * 16 + ".v9999"]),
    "a rotation": lambda d: d.update(rotations=[rotation()]),
}
RETURN_BEYOND: dict[str, tuple[Change, str]] = {
    "another version": (lambda d: d.update(v=2), "document.field"),
    "version 0": (lambda d: d.update(v=0), "document.field"),
    "serial 0": (lambda d: d.update(serial=0), "document.field"),
    "a time that is none": (
        lambda d: d.update(made_at="2026-02-30T00:00:00.000Z"),
        "receipt.sense",
    ),
    "one more": (lambda d: d.update(more=1), "document.unknown_key"),
    "too many words": (lambda d: d.update(accepts=["segment.v1"] * 65), "document.field"),
    "words too long": (lambda d: d.update(accepts=["x" * 17 + ".v1"]), "document.field"),
    "another kind of word": (lambda d: d.update(accepts=["segment"]), "document.field"),
    "no member": (named(), "document.field"),
    "three members": (named(RECEIPT_NAME, TOKEN_NAME, TOKEN_NAME), "document.field"),
    "another member": (named("words.txt"), "document.field"),
    "a token alone": (named(TOKEN_NAME), "receipt.sense"),
    "a token first": (named(TOKEN_NAME, RECEIPT_NAME), "receipt.sense"),
    "two receipts": (named(RECEIPT_NAME, RECEIPT_NAME), "receipt.sense"),
    "two tokens": (named(TOKEN_NAME, TOKEN_NAME), "receipt.sense"),
}


@pytest.mark.parametrize("change", RETURN_FITS.values(), ids=RETURN_FITS)
def test_a_return_manifest_at_its_bounds_is_read_and_written_again_to_the_byte(
    change: Change,
) -> None:
    document = orjson.loads(golden.return_manifest(b"sealed"))
    change(document)
    data = compact(document)
    assert encode_return(decode_return(data)) == data


@pytest.mark.parametrize(("change", "problem"), RETURN_BEYOND.values(), ids=RETURN_BEYOND)
def test_a_return_manifest_beyond_its_bounds_is_refused_by_name(
    change: Change, problem: str
) -> None:
    document = orjson.loads(golden.return_manifest(b"sealed"))
    change(document)
    with pytest.raises(VerificationError) as caught:
        decode_return(compact(document))
    assert caught.value.id == problem
