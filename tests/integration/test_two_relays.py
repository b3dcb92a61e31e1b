"""A node that gives its bundles to two relays: neither asks for what the other is to bring."""

from pathlib import Path

import pytest

from bridge.egress.selection import Wanted, choose, send_again
from spool.ledger import State
from spool.ranges import Range
from tests.support.bundles import Machine, pair


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine, Machine]:
    """A node, and two relays that it trusts; 1 to 3 are packed for the first one, 4 for the second."""
    (tmp_path / "stick").mkdir()
    inside, first = pair(tmp_path)
    second = Machine(tmp_path / "second", "relay-2", 7)
    inside.trusts(second, "relay")
    second.trusts(inside, "node")
    for n in range(3):
        inside.append(n)
    inside.export(first, tmp_path / "stick")
    inside.append(3)
    second.take(inside.export(second, tmp_path / "stick").path)
    return inside, first, second


def missing(inside: Machine, by: Machine, stick: Path) -> list[Range]:
    """What ``by`` misses, and the node is to pack for it."""
    inside.hear(by.give_back(inside, stick))
    return inside.ledger.missing(inside.lane())


def test_what_is_in_a_bundle_for_one_relay_is_not_packed_for_the_other_that_misses_it(
    machines: tuple[Machine, Machine, Machine], tmp_path: Path
) -> None:
    inside, _, second = machines
    assert missing(inside, second, tmp_path / "stick") == []


def test_what_was_packed_for_both_is_packed_again_for_who_misses_it(
    machines: tuple[Machine, Machine, Machine], tmp_path: Path
) -> None:
    inside, _, second = machines
    numbers = {"transactions": [Range(1, 1)]}
    inside.export(second, tmp_path / "stick", numbers=numbers).path.unlink()
    assert missing(inside, second, tmp_path / "stick") == [Range(1, 1)]


def test_what_is_to_go_again_is_packed_for_whoever_misses_it(
    machines: tuple[Machine, Machine, Machine], tmp_path: Path
) -> None:
    inside, _, second = machines
    wanted = Wanted(
        frozenset({State.EXPORTED}), segments={("inside", "transactions"): [Range(2, 2)]}
    )
    (choice,) = choose(inside.ledger, [inside.lane()], wanted, inside.key.own_keys)
    send_again(inside.ledger, choice)
    assert inside.records()[State.PENDING] == 1
    assert missing(inside, second, tmp_path / "stick") == [Range(2, 2)]
