"""An answer that the ledger cannot be told at once is kept, and not asked for a second time."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spool.errors import SpoolError
from spool.ledger import State
from tests.support.judging import Asked, judging
from tests.support.sending import fill, sending

pytestmark = pytest.mark.enable_socket

ANSWERS = {200: b"{}", 400: b'{"error":"x"}'}
FULL = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"


def run(spool: Path, statement: str) -> None:
    with closing(sqlite3.connect(spool / "ledger.db", isolation_level=None)) as other:
        other.execute(statement)


@pytest.mark.parametrize(
    ("status", "ends"), [(200, State.DELIVERED), (400, State.QUARANTINED)], ids=["taken", "refused"]
)
def test_an_answer_is_entered_later_where_the_ledger_fails(
    tmp_path: Path, status: int, ends: State
) -> None:
    lane = fill(tmp_path, "langgraph", 1, 1)
    asked: list[Asked] = []

    def answer(one: Asked) -> tuple[int, bytes]:
        asked.append(one)
        run(tmp_path, FULL)  # between the attempt, which is known, and its answer
        return status, ANSWERS[status]

    with judging(answer) as (url, _), sending(lane, url) as found:
        for _ in range(2):
            with pytest.raises(SpoolError):
                found.sender.step()
            assert found.records() == {State.PENDING: 1}
        run(tmp_path, "DROP TRIGGER full")
        step = found.sender.step()
        assert step.answered
        assert step.sent
        assert found.records() == {ends: 1}
        assert found.sender.step().idle
        (counts,) = found.ledger.counts()
        assert counts.in_doubt == 0
        assert [row.answer.status for row in found.ledger.audit()] == [status]
    assert len(asked) == 1


def test_an_answer_to_a_batch_that_somebody_took_away_is_let_go(tmp_path: Path) -> None:
    lane = fill(tmp_path, "langgraph", 1, 1)
    failing = [FULL]

    def answer(_: Asked) -> tuple[int, bytes]:
        if failing:
            run(tmp_path, failing.pop())
        return 200, b"{}"

    with judging(answer) as (url, taken), sending(lane, url) as found:
        with pytest.raises(SpoolError):
            found.sender.step()
        run(tmp_path, "DROP TRIGGER full")
        (batch,) = found.ledger.open_batches(lane)
        found.ledger.withdraw(batch.id)
        with pytest.raises(SpoolError) as gone:
            found.sender.step()
        assert gone.value.id == "ledger.no_batch"
        found.sender.step()
        assert found.records() == {State.DELIVERED: 1}
    assert len(taken) == 2
