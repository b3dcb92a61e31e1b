"""What coroutines append within one turn of their loop is judged and handed over together."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from spool.errors import RecordError
from spool.gathering import Gathering, Waiter

Handed = list[tuple[list[bytes], list[Waiter]]]


def _judge(records: Iterable[bytes]) -> Sequence[bytes]:
    made = list(records)
    if b"bad" in made:
        raise RecordError("record.json", "It is bad.", "Send another.")
    return [each for each in made if each != b"empty"]


def _gathering(handed: Handed) -> Gathering:
    loop = asyncio.get_running_loop()
    return Gathering(loop, _judge, lambda _, lines, waiters: handed.append((lines, waiters)))


def test_calls_of_one_turn_are_handed_over_once_and_in_order() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        for record in (b"1", b"2", b"3"):
            gathering.add([record])
        await asyncio.sleep(0)
        gathering.add([b"4"])
        await asyncio.sleep(0)
        assert [lines for lines, _ in handed] == [[b"1", b"2", b"3"], [b"4"]]

    asyncio.run(run())


def test_a_record_that_is_refused_fails_its_own_call_alone() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        good, bad = gathering.add([b"1"]), gathering.add([b"2", b"bad"])
        await asyncio.sleep(0)
        with pytest.raises(RecordError):
            await bad
        assert [(lines, [each for each, _ in waiters]) for lines, waiters in handed] == [
            ([b"1"], [good])
        ]

    asyncio.run(run())


def test_a_call_that_becomes_no_line_is_done_at_once() -> None:
    async def run() -> None:
        handed: Handed = []
        assert await _gathering(handed).add([b"empty"]) == 0
        assert handed == []

    asyncio.run(run())


def test_a_call_that_is_cancelled_within_the_turn_was_never_made() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        gathering.add([b"1"]).cancel()
        gathering.add([b"2"])
        await asyncio.sleep(0)
        assert [lines for lines, _ in handed] == [[b"2"]]

    asyncio.run(run())


def test_lines_that_were_judged_before_are_not_judged_again() -> None:
    async def run() -> None:
        handed: Handed = []
        _gathering(handed).add([b"bad"], judged=True)
        await asyncio.sleep(0)
        assert [lines for lines, _ in handed] == [[b"bad"]]

    asyncio.run(run())


def test_what_cannot_be_handed_over_fails_every_call() -> None:
    def refuse(_loop: object, _lines: object, _waiters: object) -> None:
        raise RuntimeError("closed")

    async def run() -> None:
        gathering = Gathering(asyncio.get_running_loop(), _judge, refuse)
        calls = [gathering.add([b"1"]), gathering.add([b"2"])]
        for call in calls:
            with pytest.raises(RuntimeError, match="closed"):
                await call

    asyncio.run(run())
