"""Statements: what a seal may say, up to its bounds, and what does not go together."""

from collections.abc import Mapping

import pytest

from keys.errors import VerificationError
from spool.statement import Statement, decode
from tests.golden.build import LINES, compact, frame, statement


def said(lines: bytes = LINES, **changes: object) -> Statement:
    return decode(compact(statement(frame(lines) if lines else b"", lines, **changes)))


def problem(lines: bytes = LINES, **changes: object) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        said(lines, **changes)
    return caught.value


def lost(**changes: object) -> Mapping[str, object]:
    return {"ranges": "1", "records": 1, "raw_size": 2, "why": "damaged", **changes}


def test_a_bad_field_is_said_to_be_one_of_a_statement() -> None:
    found = problem(chain="x")
    assert found.id == "document.field"
    assert "statement" in found.message


RECOVERED: Mapping[str, object] = {"seq": 2, "prev": "1" * 64, "of": 1, "reason": "recovered"}


@pytest.mark.parametrize("rest", [{}, RECOVERED], ids=["usual", "recovered"])
def test_the_policy_that_a_statement_names_is_read(rest: Mapping[str, object]) -> None:
    assert said(LINES, policy="ab" * 32, **rest).policy == "ab" * 32


@pytest.mark.parametrize("rest", [{}, RECOVERED], ids=["usual", "recovered"])
@pytest.mark.parametrize("name", ["first_at", "last_at"])
def test_a_time_that_is_none_is_named(name: str, rest: Mapping[str, object]) -> None:
    found = problem(LINES, **{name: "2026-02-30T09:00:00.000Z"}, **rest)
    assert found.id == "statement.sense"
    assert f"its {name} is" in found.message


def test_the_least_that_each_number_may_be_is_taken() -> None:
    again = said(LINES, **RECOVERED)
    assert again.of == 1
    start = {"chain": "ab" * 16, "seq": 0, "digest": "0" * 64, "why": "moved"}
    anew = said(seq=1_000_000, follows=start)
    assert anew.follows is not None
    assert anew.follows.seq == 0
    found = said(b"", reason="loss", lost=lost(records=0, raw_size=0))
    assert found.lost is not None
    assert (found.lost.records, found.lost.raw_size) == (0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"records": 1, "raw_size": 3},
        {"size": 7},
        {"first_at": "2026-11-23T09:00:00.000Z"},
        {"last_at": "2026-11-23T09:00:00.000Z"},
    ],
    ids=str,
)
def test_a_heartbeat_that_has_anything_of_a_segment_with_records_is_refused(
    changes: Mapping[str, object],
) -> None:
    assert said(b"").reason == "heartbeat"
    assert problem(b"", **changes).id == "statement.sense"


@pytest.mark.parametrize(
    "changes", [{"records": 0}, {"size": 0}, {"first_at": None}, {"last_at": None}], ids=str
)
def test_a_segment_that_lacks_anything_of_its_records_is_refused(
    changes: Mapping[str, object],
) -> None:
    assert problem(LINES, **changes).id == "statement.sense"


def test_the_shortest_record_has_a_byte_and_its_line_end() -> None:
    assert said(records=4, raw_size=8).records == 4
    assert problem(records=4, raw_size=7).id == "statement.sense"
