"""What coroutines append within one turn of their loop is judged and handed over together."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from spool.errors import RecordError
from spool.gathering import Gathering, Made, Make, Waiter, made_by

Handed = list[tuple[list[bytes], list[Waiter]]]


def made_of(*records: bytes) -> Callable[[], Sequence[bytes]]:
    def make() -> Sequence[bytes]:
        if b"bad" in records:
            raise RecordError("record.json", "It is bad.", "Send another.")
        return [each for each in records if each != b"empty"]

    return make


def _gathering(
    handed: Handed, make: Callable[[Sequence[Make]], list[Made]] = made_by
) -> Gathering[Make]:
    loop = asyncio.get_running_loop()
    return Gathering(loop, make, lambda _, lines, waiters: handed.append((lines, waiters)))


def test_calls_of_one_turn_are_handed_over_once_and_in_order() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        for record in (b"1", b"2", b"3"):
            gathering.add(made_of(record))
        await asyncio.sleep(0)
        gathering.add(made_of(b"4"))
        await asyncio.sleep(0)
        assert [lines for lines, _ in handed] == [[b"1", b"2", b"3"], [b"4"]]

    asyncio.run(run())


def test_a_record_that_is_refused_fails_its_own_call_alone() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        good, bad = gathering.add(made_of(b"1")), gathering.add(made_of(b"2", b"bad"))
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
        assert await _gathering(handed).add(made_of(b"empty")) == 0
        assert handed == []

    asyncio.run(run())


def test_a_call_that_is_cancelled_within_the_turn_was_never_made() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed)
        gathering.add(made_of(b"1")).cancel()
        gathering.add(made_of(b"2"))
        await asyncio.sleep(0)
        assert [lines for lines, _ in handed] == [[b"2"]]

    asyncio.run(run())


def test_what_cannot_be_handed_over_fails_every_call() -> None:
    def refuse(_loop: object, _lines: object, _waiters: object) -> None:
        raise RuntimeError("closed")

    async def run() -> None:
        gathering = Gathering(asyncio.get_running_loop(), made_by, refuse)
        calls = [gathering.add(made_of(b"1")), gathering.add(made_of(b"2"))]
        for call in calls:
            with pytest.raises(RuntimeError, match="closed"):
                await call

    asyncio.run(run())


def test_what_cannot_be_made_fails_every_call() -> None:
    def broken(_calls: Sequence[Make]) -> list[Made]:
        raise RuntimeError("broken")

    async def run() -> None:
        handed: Handed = []
        gathering: Gathering[Make] = Gathering(
            asyncio.get_running_loop(),
            broken,
            lambda _, lines, waiters: handed.append((lines, waiters)),
        )
        for call in [gathering.add(made_of(b"1")), gathering.add(made_of(b"2"))]:
            with pytest.raises(RuntimeError, match="broken"):
                await call
        assert handed == []

    asyncio.run(run())


def test_what_tells_of_fewer_calls_than_there_are_fails_every_call() -> None:
    async def run() -> None:
        handed: Handed = []
        gathering = _gathering(handed, lambda calls: made_by(calls[:-1]))
        for call in [gathering.add(made_of(b"1")), gathering.add(made_of(b"2"))]:
            with pytest.raises(ValueError, match="shorter"):
                await call
        assert handed == []

    asyncio.run(run())


def test_lines_are_handed_over_with_the_loop_whose_coroutines_wait() -> None:
    async def run() -> None:
        loops: list[asyncio.AbstractEventLoop] = []
        loop = asyncio.get_running_loop()
        gathering = Gathering(loop, made_by, lambda of, _lines, _waiters: loops.append(of))
        gathering.add(made_of(b"1"))
        await asyncio.sleep(0)
        assert loops == [loop]

    asyncio.run(run())
