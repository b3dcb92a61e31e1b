"""Forks go by age like other segments, and never before they were delivered."""

from pathlib import Path

import pytest

from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger import Taken
from spool.pruning import Pruner
from tests.support.bundles import Machine, pair

LATER = 10**14
"""In ms: long after everything was taken."""
OLD = {"billing": LATER, "usage": LATER, "operational": LATER}
NEW = dict.fromkeys(OLD, 0)


@pytest.fixture
def relay(tmp_path: Path) -> Machine:
    """A relay to which two machines gave a segment 1."""
    inside, relay = pair(tmp_path)
    inside.append(1)
    relay.take(inside.export(relay, tmp_path).path)
    twin = Machine(tmp_path / "twin", "inside", inside.seed)
    twin.append(2)
    assert len(relay.take(twin.export(relay, tmp_path, name="twin.agb").path).forks) == 1
    return relay


def fork_of(relay: Machine) -> Lane:
    (fork,) = relay.ledger.fork_lanes(relay.spool)
    return fork


def gone(relay: Machine, before: dict[str, int]) -> list[Lane]:
    pruner = Pruner(relay.ledger, lambda _: None, OS_DISK)
    forks = relay.ledger.fork_lanes(relay.spool)
    return [pruned.lane for pruned in pruner.forks_by_age(forks, before)]  # type: ignore[arg-type]


def test_a_fork_that_waits_stays_however_old_it_is(relay: Machine) -> None:
    assert gone(relay, OLD) == []
    assert fork_of(relay).segment(1).exists()


def test_a_fork_that_was_delivered_goes_once_it_is_old(relay: Machine) -> None:
    fork = fork_of(relay)
    relay.answer("inside", fork=fork.fork)
    assert gone(relay, NEW) == []
    assert gone(relay, OLD) == [fork]
    assert not fork.segment(1).exists()
    assert gone(relay, OLD) == []
    assert relay.lane(node="inside").segment(1).exists()


def test_a_fork_that_was_delivered_goes_for_want_of_room_and_one_that_waits_does_not(
    relay: Machine,
) -> None:
    fork = fork_of(relay)
    pruner = Pruner(relay.ledger, lambda _: None, OS_DISK)
    lane = relay.lane(node="inside")
    assert list(pruner.make_room([lane], 10**9, [fork])) == []
    relay.answer("inside", fork=fork.fork)
    size = fork.segment(1).stat().st_size
    (pruned,) = pruner.make_room([lane], 10**9, [fork])
    assert (pruned.lane, pruned.size) == (fork, size)
    assert not fork.segment(1).exists()
    assert list(pruner.make_room([lane], 10**9, [fork])) == []


def test_a_fork_that_went_is_known_all_the_same(relay: Machine) -> None:
    fork = fork_of(relay)
    relay.answer("inside", fork=fork.fork)
    ((seq, digest),) = relay.ledger.forks(relay.lane(node="inside"))
    gone(relay, OLD)
    assert relay.ledger.taken(relay.lane(node="inside"), seq, digest) is Taken.DUPLICATE
    assert list(fork.sealed_numbers()) == []
