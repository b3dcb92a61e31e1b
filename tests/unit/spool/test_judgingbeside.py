"""What is stored of a large group is the same, whichever thread compressed it."""

from collections.abc import Callable, Sequence

import pytest

from spool.beside import Compressing, Compressor
from spool.errors import RecordError
from spool.frames import Frame, FrameDecoder, FrameEncoder
from spool.group import Unit, frames_of
from spool.judgingbeside import BESIDE, judged_beside
from tests.support.spools import raw_of, records


class Late(Compressor):
    """Never comes to begin."""

    def begin(self, raw: bytes) -> Compressing:
        self.last = Compressing(raw)
        return self.last


class Early(Compressor):
    """Is done before anything else is."""

    def begin(self, raw: bytes) -> Compressing:
        work = Compressing(raw)
        work.work(FrameEncoder())
        return work


class Absent(Compressor):
    """Is not to be asked."""

    def begin(self, raw: bytes) -> Compressing:
        raise AssertionError(len(raw))


def _same(some: Sequence[bytes]) -> list[bytes]:
    return list(some)


def _all_but_the_first(some: Sequence[bytes]) -> list[bytes]:
    return list(some[1:])


def _stored(units: Sequence[Unit]) -> bytes:
    decoder = FrameDecoder()
    frames = frames_of(units, FrameEncoder())
    return b"".join(decoder.decode(Frame(0, each.data, each.raw_size)).raw for each in frames)


@pytest.mark.parametrize("judge", [_same, _all_but_the_first])
@pytest.mark.parametrize("compressor", [Late, Early, Compressor])
@pytest.mark.parametrize("filler", [700, BESIDE // 4, BESIDE])
def test_the_lines_are_stored_in_their_order_whether_the_thread_is_late_or_early(
    judge: Callable[[Sequence[bytes]], list[bytes]],
    compressor: type[Compressor],
    filler: int,
) -> None:
    beside = compressor()
    some = records(max(4, 2 * BESIDE // filler), filler=filler)
    units, count = judged_beside(some, judge, beside, FrameEncoder())
    assert _stored(units) == raw_of(judge(some))
    assert count == len(judge(some))
    beside.stop()


def test_no_other_thread_is_asked_where_there_is_little() -> None:
    for some in (records(BESIDE // 1000, filler=900), records(1)):
        units, count = judged_beside(some, _same, Absent(), FrameEncoder())
        assert (_stored(units), count) == (raw_of(some), len(some))


def test_of_a_group_that_becomes_no_line_nothing_is_stored() -> None:
    some = records(2 * BESIDE // 700, filler=700)
    assert judged_beside(some, lambda _: [], Early(), FrameEncoder()) == ([], 0)


def test_of_a_group_that_is_refused_no_more_is_compressed() -> None:
    def refuse(some: Sequence[bytes]) -> list[bytes]:
        raise RecordError("record.json", str(len(some)), "")

    late = Late()
    with pytest.raises(RecordError):
        judged_beside(records(2 * BESIDE // 700, filler=700), refuse, late, FrameEncoder())
    assert late.last.take_back() is None
