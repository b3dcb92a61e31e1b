"""The turn: one thread works, any number of others wait."""

import threading

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
