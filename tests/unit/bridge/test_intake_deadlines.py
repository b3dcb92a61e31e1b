"""Waits end in time, whichever loop they are in, and leave nothing behind."""

import asyncio
import gc
import weakref

import pytest

from bridge.intake.deadlines import STEP_S, Deadlines


async def wait(deadlines: Deadlines, future: "asyncio.Future[int]") -> int:
    begun = deadlines.watch(future)
    try:
        return await future
    finally:
        begun.discard(future)


def test_a_wait_gives_what_is_waited_for_or_what_it_raises() -> None:
    async def run() -> None:
        deadlines, loop = Deadlines(60), asyncio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()
        loop.call_soon(good.set_result, 7)
        loop.call_soon(bad.set_exception, ValueError("bad"))
        assert await wait(deadlines, good) == 7
        with pytest.raises(ValueError, match="bad"):
            await wait(deadlines, bad)

    asyncio.run(run())


def test_what_lasts_too_long_is_ended_also_in_a_second_loop() -> None:
    seconds = 0.05
    deadlines = Deadlines(seconds)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        waits = [wait(deadlines, loop.create_future()) for _ in range(3)]
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(each) for each in ended] == [TimeoutError] * 3
        return loop.time() - begun

    for _ in range(2):
        assert asyncio.run(run()) >= seconds + STEP_S


def test_a_wait_that_begins_later_is_given_its_own_time() -> None:
    async def run() -> None:
        deadlines, loop = Deadlines(2 * STEP_S), asyncio.get_running_loop()
        early = asyncio.ensure_future(wait(deadlines, loop.create_future()))
        await asyncio.sleep(1.5 * STEP_S)
        late = asyncio.ensure_future(wait(deadlines, loop.create_future()))
        await asyncio.wait([early, late], return_when=asyncio.FIRST_COMPLETED)
        assert early.done()
        assert not late.done()
        late.cancel()

    asyncio.run(run())


def test_nothing_of_a_wait_that_is_over_is_kept() -> None:
    async def run() -> None:
        deadlines, loop = Deadlines(60), asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        seen = weakref.ref(future)
        loop.call_soon(future.set_result, 1)
        await wait(deadlines, future)
        del future
        await asyncio.sleep(0)  # it is what woke this turn up
        gc.collect()
        assert seen() is None

    asyncio.run(run())
