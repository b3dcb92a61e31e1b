"""A body is read within limits, and its memory is given back however it ends."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from bridge.intake.bodies import BODY_MAX, LARGE, MIB, SHARED_MAX, BodyReader, Budget
from bridge.intake.refusals import RefusalError


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


async def read(budget: Budget, receive: Receive, headers: dict[str, str] | None = None) -> bytes:
    with BodyReader(budget, Headers(headers or {}), receive) as reader:
        return await reader.read()


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
    async def both() -> None:
        budget = Budget()
        with BodyReader(budget, Headers({}), source([bytes(30 * MIB)])) as first:
            await first.read()
            with pytest.raises(RefusalError) as refusal:
                await read(budget, source([b"x"]))
            assert (refusal.value.status, refusal.value.id) == (503, "intake.busy")
        assert await read(budget, source([b"x"])) == b"x"
        assert_all_is_free(budget)

    asyncio.run(both())


def test_small_bodies_count_once_and_large_ones_with_what_judging_takes() -> None:
    async def how_many(size: int) -> int:
        budget = Budget()
        held: list[BodyReader] = []
        while True:
            reader = BodyReader(budget, Headers({}), source([bytes(size)]))
            try:
                await reader.read()
            except RefusalError:
                return len(held)
            held.append(reader)

    assert asyncio.run(how_many(LARGE)) == SHARED_MAX // LARGE
    assert asyncio.run(how_many(2 * LARGE)) == SHARED_MAX // (5 * 2 * LARGE)


def test_the_largest_body_is_taken_while_small_ones_are_in_work() -> None:
    async def together() -> None:
        budget = Budget()
        with BodyReader(budget, Headers({}), source([bytes(1000)])) as small:
            await small.read()
            pieces = [bytes(MIB)] * 63
            assert len(await read(budget, source(pieces))) == 63 * MIB
        assert_all_is_free(budget)

    asyncio.run(together())
