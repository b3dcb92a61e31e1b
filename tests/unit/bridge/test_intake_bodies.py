"""A body is read within limits, and its memory is given back however it ends."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from random import Random

import pytest
import zstandard
from starlette.types import Message, Receive

from bridge.intake.bodies import BODY_S, BodyReader
from bridge.intake.head import Head
from bridge.intake.memory import (
    BODY_MAX,
    JUDGED_MAX,
    JUDGING_FACTOR,
    MIB,
    SHARED_MAX,
    UNCOUNTED,
    Budget,
)
from bridge.intake.refusals import RefusalError

LARGE = 8 * MIB
COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


class _NoLimit:
    """Of tests that have none; it may be moved and does nothing."""

    def reschedule(self, when: float | None) -> None:
        del when


NO_LIMIT = _NoLimit()


def source(pieces: Sequence[bytes], *, cut: bool = False) -> Receive:
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": cut or number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    if cut:
        messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


def reading(
    budget: Budget, receive: Receive, headers: Mapping[str, str] | None = None
) -> BodyReader:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return BodyReader(budget, Head(sent), receive)


async def read(budget: Budget, receive: Receive, headers: dict[str, str] | None = None) -> bytes:
    with reading(budget, receive, headers) as reader:
        return await reader.read(NO_LIMIT)


def refused(budget: Budget, receive: Receive, headers: dict[str, str] | None = None) -> str:
    with pytest.raises(RefusalError) as refusal:
        asyncio.run(read(budget, receive, headers))
    return refusal.value.id


def assert_all_is_free(budget: Budget) -> None:
    budget.take(SHARED_MAX)
    with pytest.raises(RefusalError):
        budget.take(1)
    budget.give_back(SHARED_MAX)


def test_pieces_become_one_body() -> None:
    budget = Budget()
    assert asyncio.run(read(budget, source([b"a", b"", b"bc", b""]))) == b"abc"
    assert asyncio.run(read(budget, source([b""]))) == b""
    assert_all_is_free(budget)


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    budget = Budget()
    piece = bytes(BODY_MAX // 2)
    assert len(asyncio.run(read(budget, source([piece, piece])))) == BODY_MAX
    assert refused(budget, source([piece, piece, b"x"])) == "intake.too_large"
    assert_all_is_free(budget)


@pytest.mark.parametrize("length", [str(BODY_MAX + 1), "9" * 5000, "-1", "1_0", "٣", " 1", "x"])
def test_a_claimed_length_is_judged_before_anything_is_read(length: str) -> None:
    headers = {"content-length": length} if length.isascii() else {"content-length": "\xb2"}
    assert refused(Budget(), source([]), headers) == "intake.too_large"


def test_a_broken_off_body_is_refused_and_its_memory_is_free_again() -> None:
    budget = Budget()
    assert refused(budget, source([bytes(9 * MIB)], cut=True)) == "intake.cut"
    assert_all_is_free(budget)


def test_bodies_beyond_the_shared_memory_are_asked_to_come_again() -> None:
    async def all_three() -> None:
        budget = Budget()
        with reading(budget, source([bytes(64 * MIB)])) as first:
            await first.read(NO_LIMIT)
            with pytest.raises(RefusalError) as refusal:
                await read(budget, source([bytes(40 * MIB), bytes(20 * MIB), bytes(5 * MIB)]))
            assert (refusal.value.status, refusal.value.id) == (413, "intake.too_large")
            budget.take(SHARED_MAX - 64 * MIB)
            with pytest.raises(RefusalError) as refusal:
                await read(budget, source([b"x"]))
            assert (refusal.value.status, refusal.value.id) == (503, "intake.busy")
            budget.give_back(SHARED_MAX - 64 * MIB)
        assert await read(budget, source([b"x"])) == b"x"
        assert_all_is_free(budget)

    asyncio.run(all_three())


async def how_many(size: int) -> int:
    """How many bodies can be read and are not given back, until one has to wait or is refused."""
    budget = Budget()
    held: list[BodyReader] = []
    while True:
        reader = reading(budget, source([bytes(size)]))
        try:
            async with asyncio.timeout(0.1):
                await reader.read(NO_LIMIT)
        except (RefusalError, TimeoutError):
            return len(held)
        held.append(reader)


def test_small_bodies_are_counted_and_of_larger_ones_what_judging_takes_too() -> None:
    assert asyncio.run(how_many(UNCOUNTED)) == SHARED_MAX // UNCOUNTED
    assert asyncio.run(how_many(MIB)) == JUDGED_MAX // (JUDGING_FACTOR * MIB) == 2
    assert asyncio.run(how_many(4 * MIB)) == asyncio.run(how_many(BODY_MAX)) == 1


def test_bodies_are_judged_in_the_order_in_which_they_came() -> None:
    async def run() -> list[int]:
        budget = Budget()
        ended: list[int] = []

        async def one(number: int, size: int) -> None:
            with reading(budget, source([bytes(size)])) as reader:
                await reader.read(NO_LIMIT)
                await asyncio.sleep(0.01)
                ended.append(number)

        sizes = [BODY_MAX // 4, BODY_MAX // 4, MIB, BODY_MAX // 4, UNCOUNTED + 1]
        await asyncio.gather(*(one(*each) for each in enumerate(sizes)))
        assert_all_is_free(budget)
        return ended

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_a_large_body_waits_for_the_one_before_it() -> None:
    async def two() -> None:
        budget = Budget()
        ended: list[str] = []

        async def first() -> None:
            with reading(budget, source([bytes(LARGE + 1)])) as reader:
                await reader.read(NO_LIMIT)
                for _ in range(10):
                    await asyncio.sleep(0)
                ended.append("first")

        async def second() -> None:
            with reading(budget, source([bytes(LARGE + 1)])) as reader:
                await reader.read(NO_LIMIT)
                ended.append("second")

        await asyncio.gather(first(), second())
        assert ended == ["first", "second"]
        assert_all_is_free(budget)

    asyncio.run(two())


def test_memory_is_held_until_work_that_nobody_waits_for_has_ended() -> None:
    async def cancelled() -> None:
        budget = Budget()
        work: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def request() -> None:
            with reading(budget, source([bytes(LARGE + 1)])) as reader:
                await reader.read(NO_LIMIT)
                await reader.finish(work)

        task = asyncio.ensure_future(request())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RefusalError):
            budget.take(SHARED_MAX - LARGE)
        work.set_result(None)
        await asyncio.sleep(0)
        assert_all_is_free(budget)

    asyncio.run(cancelled())


@pytest.mark.parametrize("coding", list(COMPRESS))
@pytest.mark.parametrize("piece", [1, 1000, 70_000, 10**9])
@pytest.mark.parametrize("size", [2, 5000, 400_000])
def test_a_compressed_body_becomes_what_it_was_however_it_is_cut(
    coding: str, piece: int, size: int
) -> None:
    budget = Budget()
    body = Random(1).randbytes(size // 2) * 2
    stored = COMPRESS[coding](body)
    if len(stored) // piece > 10_000:
        stored = COMPRESS[coding](body := body[:5000])
    pieces = [stored[at : at + piece] for at in range(0, len(stored), piece)]
    assert asyncio.run(read(budget, source(pieces), {"content-encoding": coding})) == body
    assert_all_is_free(budget)


@pytest.mark.parametrize("coding", list(COMPRESS))
def test_a_bomb_is_refused_where_it_passes_the_limit(coding: str) -> None:
    budget = Budget()
    bomb = COMPRESS[coding](bytes(BODY_MAX + 1))
    assert refused(budget, source([bomb]), {"content-encoding": coding}) == "intake.too_large"
    fits = COMPRESS[coding](bytes(BODY_MAX))
    assert len(asyncio.run(read(budget, source([fits]), {"content-encoding": coding}))) == BODY_MAX
    assert_all_is_free(budget)


def test_a_compressed_body_that_is_cut_is_never_a_shorter_one() -> None:
    for coding, compress in COMPRESS.items():
        stored = compress(Random(2).randbytes(100_000))
        for part in (stored[:-1], stored[:50_000], stored[:1], b"", stored + b"x"):
            headers = {"content-encoding": coding}
            assert refused(Budget(), source([part]), headers) == "intake.encoding_broken"


def test_who_sends_a_byte_now_and_then_is_given_no_more_time_than_seconds() -> None:
    async def dripping() -> float | None:
        budget = Budget()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"x", "more_body": next(more)}

        more = iter([True] * 100 + [False])
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(100) as limit:
            with reading(budget, receive) as reader:
                await reader.read(limit)
            when = limit.when()
            assert when is not None
            return when - begun

    given = asyncio.run(dripping())
    assert given is not None
    assert given < BODY_S + 1
