"""NDJSON as it comes in: the same lines wherever the reads cut it, and a name for each defect."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.lines import LINE_MAX
from spool.ndjson import LineError, Read, chunks


def reads(data: bytes, *sizes: int) -> Read:
    """Gives ``data`` in pieces of these sizes, then the rest."""

    def pieces() -> Iterator[bytes]:
        at = 0
        for size in sizes:
            if piece := data[at : at + size]:
                yield piece
            at += size
        if at < len(data):
            yield data[at:]

    given = pieces()
    return lambda: next(given, b"")


def taken(read: Read) -> tuple[list[bytes], int | None]:
    """The lines that were handed on, and the number of the one that was refused."""
    lines: list[bytes] = []
    try:
        for chunk in chunks(read):
            assert chunk.first == len(lines) + 1
            lines += chunk.lines
    except LineError as error:
        return lines, error.number
    return lines, None


@given(
    st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"\n", b"x")), max_size=12),
    st.sampled_from([b"", b"\n"]),
    st.lists(st.integers(1, 9), max_size=20),
)
def test_lines_do_not_depend_on_where_reads_cut(
    lines: list[bytes],
    end: bytes,
    sizes: list[int],
) -> None:
    data = b"\n".join(lines) + (end if lines else b"")
    found = taken(reads(data, *sizes))
    assert found == taken(reads(data))
    good, refused = found
    wanted = data.split(b"\n")
    if wanted[-1] == b"":
        wanted.pop()
    bad = [
        number
        for number, line in enumerate(wanted, 1)
        if not line.strip() or line.endswith(b"\r") or (number == 1 and line[:3] == b"\xef\xbb\xbf")
    ]
    assert refused == (bad[0] if bad else None)
    assert good == (wanted[: bad[0] - 1] if bad else wanted)


def test_the_longest_line_is_taken_and_one_byte_more_is_not() -> None:
    line = b"x" * LINE_MAX
    assert taken(reads(b"a\n" + line, 1 << 20, 1 << 20)) == ([b"a", line], None)
    assert taken(reads(b"a\n" + line + b"x\nb\n", 1 << 20)) == ([b"a"], 2)


def test_a_line_without_end_is_given_up_at_the_limit() -> None:
    read = 0

    def endless() -> bytes:
        nonlocal read
        read += 1 << 20
        return b"x" * (1 << 20)

    with pytest.raises(LineError) as caught:
        list(chunks(endless))
    assert (caught.value.id, caught.value.number) == ("record.too_large", 1)
    assert read <= LINE_MAX + (2 << 20)


@pytest.mark.parametrize(
    ("data", "number", "problem"),
    [
        (b"\xef\xbb\xbf{}\n", 1, "record.bom"),
        (b"{}\r\n{}\n", 1, "record.line_end"),
        (b"{}\n{}\r", 2, "record.line_end"),
        (b"{}\n\n", 2, "record.blank"),
        (b"{}\n \t\n", 2, "record.blank"),
        (b"{}\n" + b"x" * (LINE_MAX + 1), 2, "record.too_large"),
        (b"{}\n" + b"x" * (LINE_MAX + 1) + b"\n", 2, "record.too_large"),
    ],
)
def test_a_line_that_is_refused_is_named_with_what_is_wrong_and_what_to_do(
    data: bytes, number: int, problem: str
) -> None:
    with pytest.raises(LineError) as caught:
        list(chunks(reads(data)))
    assert (caught.value.id, caught.value.number) == (problem, number)
    assert caught.value.message.startswith(f"Line {number}: It ")
    assert caught.value.hint


def test_a_mark_of_byte_order_is_refused_at_the_very_beginning_alone() -> None:
    marked = b"\xef\xbb\xbf{}"
    assert taken(reads(b"{}\n" + marked + b"\n")) == ([b"{}", marked], None)
    # However many lines come at once.
    assert taken(reads(b"{}\n{}\n" + marked + b"\n", 3)) == ([b"{}", b"{}", marked], None)


def test_a_line_at_the_limit_may_still_get_its_end_and_one_beyond_waits_for_none() -> None:
    line = b"x" * LINE_MAX
    assert taken(reads(b"a\n" + line + b"\nb", 2 + LINE_MAX)) == ([b"a", line, b"b"], None)
    asked = []

    def read() -> bytes:
        asked.append(1)
        return b"a\n" + line + b"x" if len(asked) == 1 else b""

    assert taken(read) == ([b"a"], 2)
    assert len(asked) == 1


def test_lines_are_handed_on_as_they_come() -> None:
    found = [(chunk.first, chunk.lines) for chunk in chunks(reads(b"a\nb\nc", 3, 1))]
    assert found == [(1, [b"a"]), (2, [b"b"]), (3, [b"c"])]
    assert list(chunks(reads(b""))) == []
