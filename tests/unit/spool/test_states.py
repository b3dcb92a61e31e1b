"""The table of legal moves, and its picture."""

from itertools import product
from pathlib import Path

import pytest

from spool.states import MOVES, By, LedgerError, State, check_move, may_move, mermaid

DOCS = Path(__file__).parents[3] / "docs" / "states.md"


def test_the_picture_in_the_docs_is_the_table() -> None:
    assert f"```mermaid\n{mermaid()}```\n" in DOCS.read_text(encoding="utf-8")


def test_the_docs_explain_every_state_and_everyone_who_moves() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for word in (*State, *By):
        assert f"\n| {word} | " in text


def test_what_has_its_answer_goes_out_again_only_on_purpose_or_when_it_is_given_back() -> None:
    assert MOVES[State.QUARANTINED, State.PENDING] == {By.REPLAY}
    assert MOVES[State.DELIVERED, State.PENDING] == {By.REPLAY, By.GIVE_BACK}
    assert {target for (start, target) in MOVES if start is State.DELIVERED} == {State.PENDING}


def test_a_lost_segment_can_turn_out_delivered_or_be_found_again() -> None:
    targets = {target for (start, target) in MOVES if start is State.LOST}
    assert targets == {State.DELIVERED, State.PENDING}
    assert MOVES[State.LOST, State.PENDING] == {By.REPLAY}


def test_every_move_that_is_not_listed_is_refused_by_name() -> None:
    for source, target, by in product(State, State, By):
        if by in MOVES.get((source, target), ()):
            check_move(source, target, by)
            assert may_move(source, target, by)
        else:
            with pytest.raises(LedgerError, match=f"{source} to {target} by {by}") as caught:
                check_move(source, target, by)
            assert caught.value.id == "ledger.illegal_move"
            assert not may_move(source, target, by)


def test_a_refused_move_tells_who_may_make_it() -> None:
    with pytest.raises(LedgerError, match=r"\(only by give_back or replay\)"):
        check_move(State.DELIVERED, State.PENDING, By.LOSS)
    with pytest.raises(LedgerError, match=r"\(by nobody\)"):
        check_move(State.DELIVERED, State.LOST, By.LOSS)
