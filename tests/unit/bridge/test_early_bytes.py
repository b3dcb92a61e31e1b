"""What has come of an answer while its request is being sent, byte by byte."""

import select
import socket
from collections.abc import Iterator

import pytest

from bridge.egress.early import HELD_MAX, Early

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A socket that does not wait, and its other side."""
    here, there = socket.socketpair()
    here.settimeout(0)
    with here, there:
        yield here, there


def heard(pair: Pair, *pieces: bytes) -> bool:
    """Whether ``pieces``, one after the other, are a refusal."""
    here, there = pair
    early = Early(here.recv)
    found = False
    for piece in pieces:
        assert not found
        there.sendall(piece)
        found = early.refuses()
    return found


@pytest.mark.parametrize("digit", range(10))
def test_a_status_of_300_and_more_refuses_unless_nobody_knows_it(pair: Pair, digit: int) -> None:
    assert heard(pair, b"HTTP/1.1 %d00 Word\r\n\r\n" % digit) == (digit in (3, 4, 5))


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize("end", [b" ", b"\r", b"\n"])
def test_a_refusal_counts_once_its_three_digits_are_whole(
    pair: Pair, version: bytes, end: bytes
) -> None:
    assert heard(pair, version + b" 413", end)


@pytest.mark.parametrize(
    "line",
    [b"HTTP/2.0 413 \r\n", b"HTTP/1.1 4130\r\n", b"HTTP/1.1  413 \r\n", b"http/1.1 413 \r\n",
     b" HTTP/1.1 413 \r\n", b"HTTP/1.1 41 \r\n", b"HTTP/1.1 4x3 \r\n", b"junk"],
)  # fmt: skip
def test_what_is_no_answer_refuses_nothing(pair: Pair, line: bytes) -> None:
    assert not heard(pair, line)


def test_behind_interim_answers_the_final_one_counts(pair: Pair) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    assert heard(pair, *interim, b"HTTP/1.1 503 Word\r\n")


def test_behind_an_interim_answer_a_success_refuses_nothing(pair: Pair) -> None:
    assert not heard(pair, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n413 ")


def test_an_interim_answer_that_is_not_whole_hides_what_is_said_in_it(pair: Pair) -> None:
    assert not heard(pair, b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 413 Word\r\n")


def test_all_that_came_is_given_back_in_order_and_once(pair: Pair) -> None:
    here, there = pair
    early = Early(here.recv)
    assert early.take(9) == b""
    for piece in (b"HTTP/1.1 ", b"200 OK"):
        there.sendall(piece)
        assert not early.refuses()
    assert [early.take(4), early.take(6), early.take(9), early.take(9)] == [
        b"HTTP", b"/1.1 2", b"00 OK", b"",
    ]  # fmt: skip
    there.sendall(b"more")
    assert not early.refuses()
    assert early.take(9) == b"more"


def test_while_nothing_comes_more_is_waited_for(pair: Pair) -> None:
    early = Early(pair[0].recv)
    assert early.wanted == select.POLLIN
    assert not early.refuses()
    assert early.wanted == select.POLLIN


def test_after_the_end_nothing_more_is_waited_for(pair: Pair) -> None:
    here, there = pair
    early = Early(here.recv)
    there.sendall(b"HTTP/1.1 200 OK\r\n")
    assert not early.refuses()
    assert early.wanted == select.POLLIN
    there.close()
    assert not early.refuses()
    assert early.wanted == 0
    assert not early.refuses()
    assert early.take(99) == b"HTTP/1.1 200 OK\r\n"


def test_what_breaks_off_is_for_whoever_reads(pair: Pair) -> None:
    here, there = pair
    early = Early(here.recv)
    here.sendall(b"what the other side never reads")
    there.close()  # with something unread: a reset
    assert not early.refuses()
    assert early.wanted == 0


def test_no_more_is_held_than_there_is_room_for_and_it_counts_to_the_last_byte(pair: Pair) -> None:
    here, there = pair
    interim = b"HTTP/1.1 100 " + b"x" * (HELD_MAX - 13 - 4 - 13) + b"\r\n\r\n"
    refusal = b"HTTP/1.1 413 "
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * HELD_MAX)
    early = Early(here.recv)
    there.sendall(interim)
    assert not early.refuses()
    assert early.wanted == select.POLLIN
    there.sendall(refusal + b"behind it")
    assert early.refuses()
    assert early.wanted == 0
    assert early.refuses()
    assert early.take(2 * HELD_MAX) == interim + refusal
    assert here.recv(99) == b"behind it"
