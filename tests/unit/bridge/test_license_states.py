"""The table of license states, in the code and in the docs."""

from pathlib import Path

from bridge.license.states import TABLE, Answer, State, Word, markdown, serves

DOCS = Path(__file__).parents[3] / "docs" / "license.md"


def test_the_table_in_the_docs_is_the_one_in_the_code() -> None:
    assert markdown() in DOCS.read_text(encoding="utf-8")


def test_every_state_has_a_row() -> None:
    assert set(TABLE) == set(State)


def test_three_states_serve_and_one_of_them_only_what_this_bridge_got_itself() -> None:
    assert {state for state in State if serves(state, got_here=True)} == {
        State.VALID,
        State.EXPIRING,
        State.UNVERIFIABLE,
    }
    assert not serves(State.UNVERIFIABLE, got_here=False)


def test_only_a_refusal_of_the_beacon_is_answered_with_a_refusal() -> None:
    assert [state for state in State if TABLE[state].answer is Answer.REFUSAL] == [State.DENIED]


def test_who_needs_a_person_is_told_what_to_do() -> None:
    assert all(row.hint for row in TABLE.values() if row.word is not Word.SERVED)
