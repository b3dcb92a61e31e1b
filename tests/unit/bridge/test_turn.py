"""The turn: one thread works, any number of others wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bridge.egress.turn import Turn

THREADS = 8
ROUNDS = 200


def test_of_many_threads_one_works_at_a_time_and_all_of_them_end() -> None:
    turn = Turn()
    inside = [0]
    worked: list[int] = []

    def work() -> None:
        inside[0] += 1
        worked.append(inside[0])
        inside[0] -= 1

    def run() -> None:
        for _ in range(ROUNDS):
            with turn:
                work()
                with turn.let_go():
                    pass
                work()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert worked == [1] * (2 * ROUNDS * THREADS)


def test_while_one_waits_another_one_works() -> None:
    turn = Turn()
    worked = threading.Event()

    def run() -> None:
        with turn:
            worked.set()

    other = threading.Thread(target=run)
    with turn:
        other.start()
        assert not worked.wait(0.05)
        with turn.let_go():
            assert worked.wait(20)
    other.join(20)


@contextmanager
def two_wait(turn: Turn) -> Iterator[list[str]]:
    """Within it the turn is held here, and waited for by one that begins, then one that comes back.

    What they did by then, in their order.
    """
    worked: list[str] = []
    away, come_back = threading.Event(), threading.Event()

    def begin() -> None:
        with turn:
            worked.append("begun")

    def go_on() -> None:
        with turn:
            with turn.let_go():
                away.set()
                assert come_back.wait(20)
            worked.append("back")

    threads = [threading.Thread(target=go_on), threading.Thread(target=begin)]
    threads[0].start()
    assert away.wait(20)
    with turn:
        threads[1].start()
        time.sleep(0.1)
        come_back.set()
        time.sleep(0.1)
        yield worked
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_who_comes_back_goes_before_who_begins() -> None:
    with two_wait(Turn()) as worked:
        assert not worked
    assert worked == ["back", "begun"]


def test_after_long_work_whoever_waits_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.egress.turn.LONG_S", 0.0)
    turn = Turn()
    with two_wait(turn) as worked:
        turn.give_way()
        assert worked == ["back"]
        turn.give_way()
        assert worked == ["back", "begun"]
        turn.give_way()


def test_after_short_work_nobody_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.egress.turn.LONG_S", 60.0)
    turn = Turn()
    with two_wait(turn) as worked:
        turn.give_way()
        assert not worked


def test_an_error_in_a_turn_ends_it() -> None:
    turn = Turn()
    for _ in range(2):
        try:
            with turn, turn.let_go():
                raise ConnectionError
        except ConnectionError:
            pass
    with turn:
        pass
