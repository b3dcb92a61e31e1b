"""What a node gave up, and says so by a loss record, is no gap at a relay: nobody can bring it."""

from pathlib import Path

import pytest

from bridge.transfer.gaps import gaps_of, wanting
from spool.ledger import Arrival, Ledger, Taken
from spool.ranges import Range
from spool.totals import NOTHING
from tests.support.bundles import Machine, pair
from tests.support.ledgers import CHAIN

LOGS = ("inside", "logs")


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    """A node that gave up the first of its four segments of logs, as its fifth says; and a relay."""
    inside, relay = pair(tmp_path)
    for number in range(4):
        inside.append(number, stream="logs")
    inside.drop("logs")
    return inside, relay


def lacking(relay: Machine) -> tuple[list[Range], list[Range]]:
    """What of the lane is a gap, and what the node is asked for."""
    lane = relay.lane("logs", "inside")
    return (
        list(gaps_of(relay.ledger, lane, relay.trust)),
        wanting(relay.ledger, lane, relay.trust),
    )


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_was_given_up_is_declared_in_the_bundle_and_no_gap_where_it_is_imported(
    machines: tuple[Machine, Machine], tmp_path: Path, *, dry_run: bool
) -> None:
    inside, relay = machines
    exported = inside.export(relay, tmp_path)
    (told,) = exported.manifest.lanes
    assert told.ranges == (Range(2, 5),)
    assert [ranges for ranges, _ in told.lost] == ["1"]
    outcome = relay.take(exported.path, dry_run=dry_run)
    assert (outcome.new, outcome.gaps, outcome.problems) == (4, {}, [])


def test_nobody_asks_for_it_and_the_node_has_nothing_to_look_into(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    inside, relay = machines
    relay.take(inside.export(relay, tmp_path).path)
    assert lacking(relay) == ([], [])
    assert inside.hear(relay.give_back(inside, tmp_path)).missing == 0
    assert inside.ledger.missing(inside.lane("logs")) == []


def test_it_is_a_gap_until_the_loss_record_comes(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    inside, relay = machines
    some = {"logs": [Range(2, 4)]}
    assert relay.take(inside.export(relay, tmp_path, numbers=some).path).gaps == {
        LOGS: [Range(1, 1)]
    }
    inside.hear(relay.give_back(inside, tmp_path))
    assert inside.ledger.missing(inside.lane("logs")) == [Range(1, 1)]
    rest = {"logs": [Range(5, 5)]}
    assert relay.take(inside.export(relay, tmp_path, numbers=rest, name="b.agb").path).gaps == {}
    inside.hear(relay.give_back(inside, tmp_path))
    assert inside.ledger.missing(inside.lane("logs")) == []


def test_what_it_said_outlives_the_loss_record_and_comes_back_with_it_after_the_ledger_was_lost(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    inside, relay = machines
    relay.take(inside.export(relay, tmp_path).path)
    relay.ledger.close()
    for path in relay.spool.glob("ledger.db*"):
        path.unlink()
    relay = Machine(relay.folder, relay.name, relay.seed, relay.trust)
    relay.look()
    assert lacking(relay) == ([], [])
    relay.lane("logs", "inside").segment(5).unlink()
    assert lacking(relay) == ([], [])


@pytest.mark.parametrize(("first", "gap"), [(6, []), (5, [Range(1, 1)])])
def test_what_a_revoked_key_gave_up_counts_below_its_number_alone(
    machines: tuple[Machine, Machine], tmp_path: Path, first: int, gap: list[Range]
) -> None:
    inside, relay = machines
    relay.take(inside.export(relay, tmp_path).path)
    relay.trust = relay.trust.revoke(inside.key.public.id, {"inside/logs": first})
    assert lacking(relay) == (gap, gap)


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_import_says_as_the_status_does_that_a_revoked_keys_word_does_not_count(
    machines: tuple[Machine, Machine], tmp_path: Path, *, dry_run: bool
) -> None:
    inside, relay = machines
    whole = inside.export(relay, tmp_path).path
    relay.take(whole)
    relay.trust = relay.trust.revoke(inside.key.public.id, {"inside/logs": 5})
    assert relay.take(whole, dry_run=dry_run).gaps == {LOGS: [Range(1, 1)]}


@pytest.mark.parametrize(
    "numbers",
    [[Range(2, 3), Range(6, 6)], [Range(4, 6)], [Range(5, 5)], [Range(2, 2), Range(5, 6)]],
    ids=str,
)
@pytest.mark.parametrize("first_came", [[Range(2, 2)], [Range(4, 4)], []], ids=str)
def test_a_dry_run_finds_the_gaps_that_the_import_then_finds(
    machines: tuple[Machine, Machine],
    tmp_path: Path,
    numbers: list[Range],
    first_came: list[Range],
) -> None:
    inside, relay = machines
    inside.append(9, stream="logs")
    if first_came:
        first = inside.export(relay, tmp_path, numbers={"logs": first_came}, name="first.agb")
        relay.take(first.path)
    path = inside.export(relay, tmp_path, numbers={"logs": numbers}, name="then.agb").path
    told = relay.take(path, dry_run=True)
    outcome = relay.take(path)
    assert (told.gaps, told.new) == (outcome.gaps, outcome.new)


def test_a_fork_gives_up_nothing_and_nobody_gives_up_what_comes_later(
    machines: tuple[Machine, Machine],
) -> None:
    _, relay = machines
    lane = relay.lane("logs", "inside")

    def arrives(ledger: Ledger, digest: str, *lost: Range) -> Taken:
        rest = (CHAIN, "0" * 64, NOTHING, NOTHING, lost, "key")
        (taken,) = ledger.take_in_all([Arrival(lane, 7, digest, *rest)])
        return taken

    assert arrives(relay.ledger, "a" * 64, Range(1, 2), Range(6, 7), Range(9, 9)) is Taken.NEW
    assert arrives(relay.ledger, "b" * 64, Range(3, 4)) is Taken.FORK
    assert arrives(relay.ledger, "a" * 64, Range(5, 5)) is Taken.DUPLICATE
    told = [(each.seq, each.numbers, each.key) for each in relay.ledger.given_up(lane)]
    assert told == [(7, Range(1, 2), "key")]
