"""A writer's own threads: what could not be begun is tried again, and none of them sleeps for good."""

import threading
from pathlib import Path

import pytest

from spool.beside import Compressor
from spool.clock import SYSTEM_CLOCK
from spool.egressfile import seal_age_ms
from spool.errors import SpoolError
from spool.frames import FrameEncoder
from spool.keeper import Keeper
from spool.lane import Lane
from spool.openfile import open_files
from spool.segment import Segment
from spool.writer import Writer
from tests.support.disks import FastDisk
from tests.support.spools import (
    FAST,
    KEY,
    HandClock,
    lines_of,
    raw_of,
    records,
    wait_until,
)


def _compressors() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "compressor"}


def _writer(spool: Path, clock: HandClock | None = None) -> Writer:
    return Writer(
        spool,
        "transactions",
        node="n",
        signer=KEY,
        disk=FAST,
        clock=clock or SYSTEM_CLOCK,
        seal_age_ms=1000,
    )


def test_a_look_that_failed_while_a_file_came_into_use_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It did not know of any file in use: it slept for good, heard nobody who asked, sealed nothing.
    clock, lane = HandClock(), Lane(tmp_path, "n", "transactions")
    failed: list[Lane] = []

    def fails_once(asked: Lane, configured: int | None) -> int:
        if len(failed) == 1:
            failed.append(asked)
            raise OSError(24, "Too many open files")
        return seal_age_ms(asked, configured)

    monkeypatch.setattr("spool.keeper.seal_age_ms", fails_once)
    with _writer(tmp_path, clock) as writer:
        writer.append(records(1))
        clock.seconds += 1.5
        wait_until(lambda: not open_files(lane))  # sealed: none is in use
        failed.append(lane)
        writer.append(records(1))
        wait_until(lambda: len(failed) == 2)
        clock.seconds += 1.5
        wait_until(lambda: not open_files(lane))


class _NoMemory(FastDisk):
    """Where there is none for the first sealing."""

    def __init__(self) -> None:
        self.failed = False

    def rename(self, source: Path, target: Path) -> None:
        if not self.failed:
            self.failed = True
            raise MemoryError
        super().rename(source, target)


def test_a_file_that_no_fault_was_thought_of_for_keeps_no_other_one_from_being_sealed(
    tmp_path: Path,
) -> None:
    # The thread ended, and with it all sealing of that writer, and nobody learned of it.
    clock, lane, disk = HandClock(), Lane(tmp_path, "n", "transactions"), _NoMemory()
    writer = Writer(
        tmp_path, "transactions", node="n", signer=KEY, disk=disk, clock=clock, seal_age_ms=1000
    )
    writer.append(records(1))
    clock.seconds += 1.5
    wait_until(lambda: disk.failed)
    writer.append(records(2))
    clock.seconds += 1.5
    wait_until(lambda: list(lane.sealed_numbers()) == [1])
    with pytest.raises(SpoolError) as caught:
        writer.close()
    assert caught.value.id == "writer.failed"
    assert len(open_files(lane)) == 1


@pytest.mark.parametrize("name", ["keeper", "committer"])
def test_a_thread_that_could_not_be_begun_is_begun_by_the_next_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Whoever came next waited for ever for a thread that never was.
    real = threading.Thread.start

    def no_room(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        real(thread)

    some, inline = records(3, filler=10), name != "committer"
    with _writer(tmp_path) as writer:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_room)
            with pytest.raises(RuntimeError, match="new thread"):
                writer.submit(some, inline=inline).wait()
        writer.submit(some, inline=inline).wait()
        assert name in {thread.name for thread in threading.enumerate()}
    assert not open_files(writer.lane)


def test_where_no_thread_that_compresses_can_begin_its_caller_compresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was refused, where a smaller group was taken.
    real = threading.Thread.start

    def no_room(thread: threading.Thread) -> None:
        if thread.name == "compressor":
            raise RuntimeError("can't start new thread")
        real(thread)

    some = records(3, filler=300_000)
    with _writer(tmp_path) as writer:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_room)
            assert writer.append(some) == len(some)
        assert writer.append(some) == len(some)
        assert "compressor" in {thread.name for thread in threading.enumerate()}
    found = b""
    for seq in writer.lane.sealed_numbers():
        with Segment.open(writer.lane.segment(seq)) as segment:
            found += lines_of(segment)
    assert found == 2 * raw_of(some)


def test_a_close_that_was_interrupted_before_its_file_was_sealed_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = _writer(tmp_path)
    writer.append(records(1))
    with monkeypatch.context() as patched:

        def interrupted(_: Keeper) -> None:
            raise KeyboardInterrupt

        patched.setattr(Keeper, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.close()
        writer._keeper._stop = True  # noqa: SLF001 - else its thread seals it all the same
        writer._keeper._wake.set()  # noqa: SLF001
    writer.close()
    assert not open_files(writer.lane)
    assert list(writer.lane.sealed_numbers()) == [1]


def test_a_large_group_that_comes_after_the_close_leaves_no_thread_behind(tmp_path: Path) -> None:
    # Nobody ended the one that it began: a second close has nothing left to do.
    before = _compressors()
    writer = _writer(tmp_path)
    writer.close()
    with pytest.raises(SpoolError, match="closed"):
        writer.append(records(3, filler=300_000))
    assert not _compressors() - before


def test_lines_that_come_while_the_compressor_stops_keep_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, gate = threading.Event(), threading.Event()

    class Slow(FrameEncoder):
        def encode(self, raw: bytes) -> bytes:
            begun.set()
            gate.wait()
            return super().encode(raw)

    monkeypatch.setattr("spool.beside.FrameEncoder", Slow)
    before = _compressors()
    compressor = Compressor()
    first = compressor.begin(b"1\n")
    assert begun.wait(20)
    closing = threading.Thread(target=compressor.stop, daemon=True)
    closing.start()
    wait_until(lambda: compressor._stopped)  # noqa: SLF001
    assert compressor.begin(b"2\n").take_back() == b"2\n"
    assert closing.is_alive()
    gate.set()
    closing.join(20)
    assert not closing.is_alive()
    assert first.encoded()
    assert not _compressors() - before
