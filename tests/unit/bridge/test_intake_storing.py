"""A disk that hangs: who sends is told in time, and what waits for it is bounded and not lost."""

import asyncio
import gc
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from starlette.types import Message

from bridge.intake.counts import IntakeCounts
from bridge.intake.gate import Gate
from bridge.intake.head import Head
from bridge.intake.memory import Budget
from bridge.intake.passing import nobody
from bridge.intake.refusals import JSON, PROTOBUF, RefusalError
from bridge.intake.rules import Rules
from bridge.intake.storing import IN_A_THREAD, SMALL, WAITING_MAX, Post, Storing
from bridge.intake.taking import ROWS
from spool import frames
from spool.durable import OsDisk
from spool.errors import RecordError
from spool.frames import FRAME_RAW_MAX
from spool.secrets import NO_SECRETS
from spool.writer import Writer
from tests.support.otlpmessages import many_attributes
from tests.support.spools import wait_until
from tests.support.stored import open_lines

FRAMES = frames.__file__
RULES = Rules(Gate(lambda _: True, open_otlp=True), NO_SECRETS, (), nobody)
TYPE = (b"content-type", b"application/json")


class HangingDisk(OsDisk):
    """Syncs nothing until it is let."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.synced = 0

    def sync(self, fd: int) -> None:
        assert self.goes_on.wait(60)
        super().sync(fd)
        self.synced += 1


@pytest.fixture
def disk() -> Iterator[HangingDisk]:
    made = HangingDisk()
    yield made
    made.goes_on.set()


def logs(size: int) -> bytes:
    """A body of ``size`` bytes that does not compress."""
    head = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17,"body":"'
    tail = b'"}]}]}]}'
    noise = Random(size).randbytes(size).hex().encode()
    return head + noise[: size - len(head) - len(tail)] + tail


async def answer(storing: Storing, body: bytes, form: str = JSON, *, whole: bool = True) -> str:
    """The id of the refusal, or ``taken``."""
    post = Post(Head([TYPE]), ROWS["/v1/logs"], form, RULES, vouched=False)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        take = (lambda most: body if len(body) <= most else None) if whole else None
        await storing.store(post, take, receive)
    except (RefusalError, RecordError) as refusal:
        refusal.__context__ = refusal.__cause__ = None
        return refusal.id
    return "taken"


def test_who_sends_to_a_disk_that_hangs_is_told_in_time_and_what_waits_for_it_is_bounded(
    tmp_path: Path, disk: HangingDisk
) -> None:
    body = logs(SMALL)
    count = 2 * WAITING_MAX // len(body)

    async def run(storing: Storing) -> Counter[str]:
        waiting = [asyncio.ensure_future(answer(storing, body)) for _ in range(count // 2 + 1)]
        for _ in range(3):  # they are begun, their turn ends, they are handed over
            await asyncio.sleep(0)
        more = [answer(storing, body) for _ in range(count // 2)]
        return Counter(await asyncio.gather(*more, *waiting))

    with Writer(tmp_path, "logs", node="n", disk=disk) as writer:
        storing = Storing({"logs": writer}, Budget(), IntakeCounts(), answer_s=0.2)
        answers = asyncio.run(run(storing))
        assert answers == {"intake.late": count // 2 + 1, "intake.busy": count // 2}
        assert writer.waiting < WAITING_MAX + 2 * len(body)
        disk.goes_on.set()
        wait_until(lambda: writer.waiting == 0)
        assert asyncio.run(answer(storing, body)) == "taken"
        # What was not acknowledged may be there all the same.
        assert len(open_lines(tmp_path, "logs")) == count // 2 + 2


@pytest.mark.parametrize("size", [200, SMALL, SMALL + 1, IN_A_THREAD + 1])
def test_no_body_is_answered_before_its_lines_are_durable(
    tmp_path: Path, disk: HangingDisk, size: int
) -> None:
    async def run(storing: Storing, writer: Writer) -> str:
        waiting = asyncio.ensure_future(answer(storing, logs(size)))
        handed_over = False
        while not handed_over:
            handed_over = writer.waiting > 0
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            if done:
                disk.goes_on.set()  # who fails need not hang as well
                pytest.fail("answered, and the disk has nothing yet")
        assert disk.synced == 0
        disk.goes_on.set()
        said = await waiting
        assert disk.synced > 0
        return said

    with Writer(tmp_path, "logs", node="n", disk=disk) as writer:
        storing = Storing({"logs": writer}, Budget(), IntakeCounts(), answer_s=60)
        assert asyncio.run(run(storing, writer)) == "taken"
        assert open_lines(tmp_path, "logs") == [logs(size)]


@pytest.mark.parametrize("size", [200, SMALL, SMALL + 1, 100_000])
def test_a_body_of_any_size_is_kept_whether_it_came_at_once_or_not(
    tmp_path: Path, disk: HangingDisk, size: int
) -> None:
    disk.goes_on.set()
    with Writer(tmp_path, "logs", node="n", disk=disk) as writer:
        storing = Storing({"logs": writer}, Budget(), IntakeCounts(), answer_s=60)
        for whole in (True, False):
            assert asyncio.run(answer(storing, logs(size), whole=whole)) == "taken"
        assert open_lines(tmp_path, "logs") == [logs(size)] * 2


def test_small_bodies_whose_lines_are_large_are_kept_in_frames_that_are_not(
    tmp_path: Path, disk: HangingDisk
) -> None:
    """Protobuf may say in six bytes what takes thirty in JSON."""
    disk.goes_on.set()
    body = many_attributes(SMALL)
    many = 64

    async def run(storing: Storing) -> list[str]:
        return await asyncio.gather(*(answer(storing, body, PROTOBUF) for _ in range(many)))

    with Writer(tmp_path, "logs", node="n", disk=disk) as writer:
        storing = Storing({"logs": writer}, Budget(), IntakeCounts(), answer_s=60)
        assert asyncio.run(run(storing)) == ["taken"] * many
        (line,) = set(kept := open_lines(tmp_path, "logs"))
        assert len(kept) == many
        assert many * len(line) > FRAME_RAW_MAX


def heavy() -> bytes:
    """A body that takes a while to judge, and does not compress to nothing."""
    record = b'{"severityNumber":17,"body":{"stringValue":"%b"}}' % (b"x" * 100)
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % b",".join([record] * 40_000)


def broken() -> bytes:
    return heavy()[:-8] + b",1e999]}]}]}"


@pytest.mark.parametrize(
    ("body", "judge_s", "said"),
    [
        (heavy, 60.0, "taken"),
        (heavy, 0.01, "intake.heavy"),
        (broken, 60.0, "record.json"),
    ],
)
def test_nothing_of_a_large_body_is_kept_once_it_was_answered(
    tmp_path: Path, disk: HangingDisk, body: Callable[[], bytes], judge_s: float, said: str
) -> None:
    disk.goes_on.set()

    async def run(storing: Storing) -> int:
        gc.collect()
        gc.disable()  # what only a collector finds may stay for minutes
        tracemalloc.start()
        try:
            assert await answer(storing, body()) == said
            await asyncio.sleep(0.5)  # work that nobody waits for ends at its next step
            found = tracemalloc.take_snapshot()
            # What the compressor made smaller stays in these books as large as it was.
            found = found.filter_traces(
                [tracemalloc.Filter(inclusive=False, filename_pattern=FRAMES)]
            )
            return sum(each.size for each in found.statistics("filename"))
        finally:
            tracemalloc.stop()
            gc.enable()

    with Writer(tmp_path, "logs", node="n", disk=disk) as writer:
        storing = Storing({"logs": writer}, Budget(), IntakeCounts(), judge_s=judge_s)
        assert asyncio.run(run(storing)) < len(heavy()) // 8
