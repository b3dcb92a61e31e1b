"""A lane followed number by number: what is missing, what a loss record says of it, what breaks it."""

import pytest

from keys.errors import VerificationError
from spool.chain import NEW_CHAIN_STEP
from spool.head import Head
from spool.inspection import Known
from spool.links import Links
from spool.ranges import Range
from spool.statement import decode
from spool.totals import Totals
from tests.golden.build import LINES, compact, frame, statement

OTHER = "ab" * 16


def known(seq: int, **changes: object) -> Known:
    """Segment ``seq`` of the golden chain, as far as its seal says it."""
    if seq != 1 and "follows" not in changes:
        changes = {"prev": "1" * 64} | changes
    lines = b"" if changes.get("reason") == "loss" else LINES
    said = decode(compact(statement(frame(LINES) if lines else b"", lines, seq=seq, **changes)))
    return Known(said, f"{seq:064x}")


def loss(seq: int, ranges: str) -> Known:
    lost = {"ranges": ranges, "records": None, "raw_size": None, "why": "damaged"}
    return known(seq, reason="loss", lost=lost)


def followed(*steps: Known | int) -> Links:
    """After these; a bare number is a segment whose seal is not to be believed."""
    links = Links()
    for step in steps:
        if isinstance(step, int):
            links.move(step, None)
        else:
            links.move(step.said.seq, step)
    return links


def head_at(links: Links, seq: int, *, first: int = 1, chain: str | None = None) -> list[Range]:
    """The gaps after going on to a head."""
    chain = known(1).said.chain if chain is None else chain
    links.finish(Head(chain, first, seq, "0" * 64, Totals(0, 0), 0))
    return links.gaps


def test_bad_seals_side_by_side_are_there_and_no_gap() -> None:
    assert followed(known(1), 2, 3, 4, known(5)).gaps == []
    assert followed(known(1), 2, 4, known(6)).gaps == [Range(3, 3), Range(5, 5)]
    assert followed(2, 3, known(4)).gaps == []
    assert followed(2, known(5)).gaps == [Range(3, 4)]


def test_what_lacks_below_the_head_is_a_gap_from_what_was_seen_on() -> None:
    assert head_at(followed(known(1)), 3) == [Range(2, 3)]
    assert head_at(followed(), 2) == [Range(1, 2)]
    assert head_at(followed(2), 3) == [Range(3, 3)]
    assert head_at(followed(5), 6, first=2) == [Range(6, 6)]


def test_of_another_chain_the_head_lacks_nothing_before_it_began() -> None:
    began = NEW_CHAIN_STEP
    assert head_at(followed(known(1)), began + 1, first=began, chain=OTHER) == [
        Range(began, began + 1)
    ]
    late = followed(known(began + 3, chain=OTHER))
    assert head_at(late, began + 4, first=began, chain="cd" * 16) == [Range(began + 4, began + 4)]


def test_a_loss_record_declares_just_the_numbers_that_it_names() -> None:
    links = followed(known(1), loss(10, "3-4,6"))
    assert links.gaps == [Range(2, 2), Range(5, 5), Range(7, 9)]
    assert links.declared == [Range(3, 4), Range(6, 6)]


def test_a_loss_record_that_names_more_than_lacks_declares_what_lacks() -> None:
    links = followed(known(1), known(4), known(6), loss(9, "1-3,5,20"))
    assert links.gaps == [Range(7, 8)]
    assert links.declared == [Range(2, 3), Range(5, 5)]


def test_numbers_of_the_first_chain_begin_with_1() -> None:
    assert followed(1, known(3)).gaps == [Range(2, 2)]
    assert followed(known(3), known(5, chain=OTHER)).gaps == [Range(4, 4)]


def test_a_chain_may_stand_still_over_a_gap_and_never_hold_less() -> None:
    after = known(1).said.after

    def problem(records: int, raw_size: int) -> str | None:
        links = followed(known(1))
        said = known(4, before={"records": records, "raw_size": raw_size}).said
        try:
            return links.check(said, "4" * 64)
        except VerificationError as error:
            return error.id

    assert problem(after.records, after.raw_size) is None
    assert problem(after.records - 1, after.raw_size) == "chain.broken"
    assert problem(after.records, after.raw_size - 1) == "chain.broken"


def test_a_number_with_two_contents_is_a_fork_and_with_one_it_is_the_same_again() -> None:
    links, said = followed(known(1)), known(1).said
    assert links.check(said, known(1).digest) == "the same segment again"
    with pytest.raises(VerificationError) as caught:
        links.check(said, "f" * 64)
    assert caught.value.id == "chain.fork"


def begun(seq: int, follows: int) -> Known:
    """The first segment of another chain, which goes on after the number ``follows`` of the first."""
    before = known(1)
    where = {"chain": before.said.chain, "seq": follows, "digest": before.digest, "why": "moved"}
    return known(seq, chain=OTHER, prev="0" * 64, follows=where)


def test_what_the_chain_before_lacks_is_a_gap_though_bad_seals_lie_beyond_its_end() -> None:
    links = followed(known(1), 10, begun(NEW_CHAIN_STEP, 3))
    assert links.gaps == [Range(2, 3)]


def test_the_oldest_one_is_told_by_what_it_says_of_before() -> None:
    assert Links().check(known(1).said, "1" * 64) is None
    whole = Links().check(known(4, before={"records": 7, "raw_size": 70}).said, "4" * 64)
    assert whole is not None
    assert "7 records" in whole
    chain = Links().check(begun(NEW_CHAIN_STEP, 3).said, "5" * 64)
    assert chain is not None
    assert f"{known(1).said.chain[:8]}/3" in chain
    # There is an older one, whatever it was: this one is not called the oldest.
    assert followed(2).check(known(4).said, "4" * 64) is None
