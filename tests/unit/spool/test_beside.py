"""Lines are compressed while they are judged, by a thread that fails nobody and holds up nobody."""

import threading

import pytest

from spool.beside import Compressing, Compressor
from spool.frames import Frame, FrameDecoder, FrameEncoder


def _raw(stored: bytes, size: int) -> bytes:
    return FrameDecoder().decode(Frame(0, stored, size)).raw


def test_what_was_handed_over_comes_back_as_frames_in_whatever_order_it_is_asked_for() -> None:
    compressor = Compressor()
    given = [b'{"n":%d}\n' % n * 1000 for n in range(5)]
    begun = [compressor.begin(raw) for raw in given]
    for raw, each in reversed(list(zip(given, begun, strict=True))):
        assert each.raw_size == len(raw)
        assert _raw(each.encoded(), len(raw)) == raw
        assert each.encoded() == each.encoded()
    compressor.stop()


def test_many_threads_share_one_that_compresses() -> None:
    compressor = Compressor()
    found: list[bool] = []

    def use(number: int) -> None:
        raw = b'{"n":%d}\n' % number * 5000
        found.append(_raw(compressor.begin(raw).encoded(), len(raw)) == raw)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert sum(each.name == "compressor" for each in threading.enumerate()) == 1
    compressor.stop()
    assert not any(each.name == "compressor" for each in threading.enumerate())


def test_after_a_stop_no_thread_begins_and_lines_can_be_taken_back() -> None:
    before = set(threading.enumerate())
    compressor = Compressor()
    for _ in range(2):
        compressor.stop()
        assert compressor.begin(b"{}\n").take_back() == b"{}\n"
    assert set(threading.enumerate()) <= before


def test_what_kept_a_frame_from_being_made_is_told_to_each_who_asks() -> None:
    class Broken(FrameEncoder):
        def encode(self, raw: bytes) -> bytes:
            raise MemoryError(len(raw))

    work = Compressing(b"{}\n")
    work.work(Broken())
    work.wait_begun()
    assert work.take_back() is None
    for _ in range(2):
        with pytest.raises(MemoryError):
            work.encoded()


def test_lines_that_nobody_has_begun_with_can_be_taken_back_once_and_are_not_compressed_then() -> (
    None
):
    class Untouched(FrameEncoder):
        def encode(self, raw: bytes) -> bytes:
            raise AssertionError(raw)

    work = Compressing(b"{}\n")
    assert work.take_back() == b"{}\n"
    assert work.take_back() is None
    work.work(Untouched())
    assert work.raw_size == len(b"{}\n")


def test_a_thread_that_does_not_come_to_begin_is_not_waited_for_for_ever() -> None:
    work = Compressing(b"{}\n")
    work.wait_begun()
    assert work.take_back() == b"{}\n"


def test_of_two_threads_that_begin_at_once_one_has_the_lines() -> None:
    class Counting(FrameEncoder):
        def encode(self, raw: bytes) -> bytes:
            begun.append(raw)
            return super().encode(raw)

    for number in range(50):
        begun: list[bytes] = []
        raw = b'{"n":%d}\n' % number * 2000
        work = Compressing(raw)
        thread = threading.Thread(target=work.work, args=(Counting(),))
        thread.start()
        taken = work.take_back()
        thread.join()
        assert [each for each in (taken, *begun) if each is not None] == [raw]
        if taken is None:
            assert _raw(work.encoded(), len(raw)) == raw
