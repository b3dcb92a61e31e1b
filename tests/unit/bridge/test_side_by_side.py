"""Segments of a bundle are judged side by side, and told in order."""

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import pytest

from bridge.transfer.judging import AT_ONCE, check_stream, keys_of, side_by_side
from bridge.transfer.manifest import Packed
from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from keys.truststore import TrustStore
from spool.streams import STREAMS

MEMBERS = [Packed("n1", "logs", seq, 1, "a" * 64) for seq in range(1, 8)]
WAIT_S = 30


def bad() -> VerificationError:
    return VerificationError("bundle.digest", "It is another one.", "Take it again.")


def numbers(found: Generator[tuple[Packed, object]]) -> list[tuple[int, object]]:
    return [(packed.seq, answer) for packed, answer in found]


def test_answers_come_in_order_whichever_is_ready_first() -> None:
    second = threading.Event()

    def work(packed: Packed) -> int:
        if packed.seq == 1:
            assert second.wait(WAIT_S)
        if packed.seq == 2:
            second.set()
        return packed.seq * 10

    found = numbers(side_by_side(work, MEMBERS, ahead=2))
    assert found == [(each.seq, each.seq * 10) for each in MEMBERS]
    assert numbers(side_by_side(work, [], ahead=2)) == []


def test_one_that_is_bad_is_told_and_the_rest_goes_on() -> None:
    error = bad()

    def work(packed: Packed) -> int:
        if packed.seq in (1, 3, 7):
            raise error
        return packed.seq

    assert [answer for _, answer in side_by_side(work, MEMBERS, ahead=3)] == [
        error, 2, error, 4, 5, 6, error,
    ]  # fmt: skip


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_begun_than_was_taken_and_so_many_ahead(ahead: int) -> None:
    begun: list[int] = []
    found = side_by_side(lambda packed: begun.append(packed.seq), MEMBERS, ahead=ahead)
    with closing(found):
        assert begun == []
        for taken in range(1, len(MEMBERS) + 1):
            assert next(found)[0].seq == taken
            assert max(begun) <= taken - 1 + ahead
    assert sorted(begun) == [each.seq for each in MEMBERS]


def test_no_more_are_worked_on_at_once_than_have_memory() -> None:
    at_work: list[int] = []
    too_many = threading.Event()

    def work(packed: Packed) -> None:
        at_work.append(packed.seq)
        if len(at_work) > 2 * AT_ONCE:
            too_many.set()
        too_many.wait(0.03)
        at_work.remove(packed.seq)

    assert len(list(side_by_side(work, MEMBERS, ahead=len(MEMBERS)))) == len(MEMBERS)
    assert not too_many.is_set()


def test_any_other_error_ends_it_and_whoever_stops_leaves_nothing_running() -> None:
    def fails(packed: Packed) -> int:
        if packed.seq == 3:
            raise KeyError(packed.seq)
        return packed.seq

    before = set(threading.enumerate())
    with closing(side_by_side(fails, MEMBERS, ahead=3)) as found:
        assert [next(found)[1], next(found)[1]] == [1, 2]
        with pytest.raises(KeyError):
            next(found)
        assert set(threading.enumerate()) <= before
    with closing(side_by_side(lambda packed: packed, MEMBERS, ahead=3)) as found:
        next(found)
    assert set(threading.enumerate()) <= before


def test_a_segment_of_a_stream_that_is_not_known_here_is_refused_by_name() -> None:
    for stream in STREAMS:
        check_stream(replace(MEMBERS[0], stream=stream))
    with pytest.raises(VerificationError) as caught:
        check_stream(replace(MEMBERS[0], stream="profiles"))
    assert caught.value.id == "stream.unknown"
    assert "profiles" in caught.value.message


def test_the_keys_of_a_node_are_all_that_ever_spoke_for_it_and_no_others() -> None:
    old, new, other = (SigningKey(bytes([seed]) * 32).public for seed in (1, 2, 3))
    trust = TrustStore()
    for role, name, key in (("node", "n1", old), ("node", "n1", new), ("node", "n2", other)):
        trust = trust.with_key(role, name, key, key.id, None)
    trust = trust.revoke(old.id, {})
    assert keys_of(trust, "n1") == {old.id: old, new.id: new}
    assert keys_of(trust, "n3") == {}
