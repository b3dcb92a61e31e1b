"""What several callers append becomes frames, and frames become parts that a file can hold."""

from spool.frames import Frame, FrameDecoder, FrameEncoder
from spool.group import GROUP_FRAME, Framed, Unit, frames_of, joined, parts_of, units_of
from tests.support.spools import raw_of, records


def _frames(count: int) -> list[Framed]:
    encoder = FrameEncoder()
    raws = [raw_of(records(n + 1, f"p{n}")) for n in range(count)]
    return [Framed(encoder.encode(raw), len(raw)) for raw in raws]


def test_a_group_that_fits_is_one_part() -> None:
    frames = _frames(3)
    assert list(parts_of(frames, 6, 10_000)) == [(frames, 6)]


def test_a_group_that_is_too_large_is_cut_between_frames_and_its_records_are_counted() -> None:
    frames = _frames(4)
    limit = len(frames[0].data) + len(frames[1].data)
    assert list(parts_of(frames, 10, limit)) == [
        (frames[:2], 3),
        (frames[2:3], 3),
        (frames[3:], 4),
    ]


def test_a_frame_that_is_too_large_by_itself_goes_alone() -> None:
    frames = _frames(2)
    assert list(parts_of(frames, 3, 1)) == [(frames[:1], 1), (frames[1:], 2)]


def test_lines_of_callers_share_a_frame_and_keep_their_order_around_compressed_ones() -> None:
    encoder, decoder = FrameEncoder(), FrameDecoder()
    many = records(80, "large", filler=1000)
    large = raw_of(many)
    units = [raw_of(records(1, "a")), raw_of(records(1, "b")), *units_of(many, encoder)]
    units.append(raw_of(records(1, "c")))
    found = [
        decoder.decode(Frame(0, each.data, each.raw_size)).raw for each in frames_of(units, encoder)
    ]
    assert found == [raw_of(records(1, "a")) + raw_of(records(1, "b")), large, units[-1]]


def _plain(units: list[Unit]) -> list[bytes]:
    return [unit for unit in units if isinstance(unit, bytes)]


def test_lines_are_joined_as_far_as_they_fit_in_a_frame() -> None:
    small, half, larger = b"s", b"h" * (GROUP_FRAME // 2), b"l" * (2 * GROUP_FRAME)
    lines = [small, half, half, larger, small, small]
    units = joined(lines)
    assert b"".join(_plain(units)) == raw_of(lines)
    assert [len(unit) for unit in _plain(units)] == [
        len(small) + len(half) + 2,
        len(half) + 1,
        len(larger) + 1,
        2 * len(small) + 2,
    ]
