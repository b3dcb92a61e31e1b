"""What lacks of a lane: before, between and behind what came, chain by chain."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.transfer.gaps import Arriving, gaps_of, wanting
from keys.ed25519 import SigningKey
from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP as STEP
from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import Arrival, By, Elsewhere, Ledger, State
from spool.ranges import Range
from spool.statement import NO_DIGEST, Follows, Lost, Statement
from spool.totals import NOTHING
from tests.support.ledgers import CHAIN, NEXT_CHAIN, fill, lane, move

KEY, OLD = SigningKey(bytes(32)).public, SigningKey(bytes(range(32))).public
TRUST = (
    TrustStore().with_key("node", "n1", KEY, KEY.id, None).with_key("node", "n1", OLD, OLD.id, None)
)
P, L = State.PENDING, State.LOST


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One that knows nothing."""
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path) -> Lane:
    return lane(tmp_path)


def said(
    seq: int, chain: str = CHAIN, follows: tuple[str, int] | None = None, lost: str = ""
) -> Statement:
    one = Statement(
        "n1", "logs", chain, seq, NO_DIGEST, 1, 1, 1, "e" * 64, NOTHING, 1_000, 1_000, "age"
    )
    if follows is not None:
        one = replace(one, follows=Follows(*follows, "f" * 64, "moved"))
    return replace(one, lost=Lost(lost, 1, 1, "room")) if lost else one


def arriving(*statements: Statement, key: str = KEY.id) -> Arriving:
    return Arriving([(each, key) for each in statements])


def gaps(ledger: Ledger, of: Lane, coming: Arriving, trust: TrustStore = TRUST) -> list[Range]:
    return list(gaps_of(ledger, of, trust, coming))


@pytest.mark.parametrize(
    ("came", "lacks"),
    [
        ([1, 2, 3], []),
        ([2], [Range(1, 1)]),
        ([3, 5, 6, 9], [Range(1, 2), Range(4, 4), Range(7, 8)]),
        ([5, 2, 4], [Range(1, 1), Range(3, 3)]),
        ([STEP], []),
        ([STEP + 1], [Range(STEP, STEP)]),
        ([STEP - 1], [Range(1, STEP - 2)]),
        (
            [2 * STEP + 2, 2 * STEP + 4],
            [Range(2 * STEP, 2 * STEP + 1), Range(2 * STEP + 3, 2 * STEP + 3)],
        ),
    ],
    ids=str,
)
def test_what_lacks_of_a_chain_lies_between_its_begin_and_its_last(
    ledger: Ledger, here: Lane, came: list[int], lacks: list[Range]
) -> None:
    assert gaps(ledger, here, arriving(*map(said, came))) == lacks


def test_what_is_in_the_ledger_and_what_arrives_fill_each_others_gaps(
    ledger: Ledger, here: Lane
) -> None:
    fill(ledger, here, 2, 3)
    fill(ledger, here, 6, 6)
    assert gaps(ledger, here, Arriving()) == [Range(1, 1), Range(4, 5)]
    assert gaps(ledger, here, arriving(said(1), said(4))) == [Range(5, 5)]


@pytest.mark.parametrize(
    ("follows", "lacks"),
    [
        ((CHAIN, 7), [Range(4, 7)]),
        ((CHAIN, 4), [Range(4, 4)]),
        ((CHAIN, 3), []),
        ((CHAIN, 2), []),
        (("a" * 32, 7), []),
        (None, []),
    ],
)
def test_the_first_segment_of_a_chain_says_how_far_the_one_before_it_went(
    ledger: Ledger, here: Lane, follows: tuple[str, int] | None, lacks: list[Range]
) -> None:
    fill(ledger, here, 1, 3)
    assert gaps(ledger, here, arriving(said(STEP, NEXT_CHAIN, follows))) == lacks


def test_no_later_segment_says_so_and_what_lies_between_two_chains_is_no_gap(
    ledger: Ledger, here: Lane
) -> None:
    fill(ledger, here, 1, 3)
    later = said(STEP + 1, NEXT_CHAIN, (CHAIN, 7))
    assert gaps(ledger, here, arriving(later)) == [Range(STEP, STEP)]


def test_what_a_chain_lacks_is_told_whichever_chain_follows_it(ledger: Ledger, here: Lane) -> None:
    third = "f" * 32
    coming = arriving(
        said(1),
        said(3),
        said(STEP, NEXT_CHAIN, (CHAIN, 4)),
        said(STEP + 2, NEXT_CHAIN),
        said(2 * STEP, third, (NEXT_CHAIN, STEP + 3)),
    )
    assert gaps(ledger, here, coming) == [
        Range(2, 2), Range(4, 4), Range(STEP + 1, STEP + 1), Range(STEP + 3, STEP + 3),
    ]  # fmt: skip


def test_a_number_that_came_of_another_chain_is_no_gap(ledger: Ledger, here: Lane) -> None:
    coming = arriving(said(1), said(2, NEXT_CHAIN), said(4))
    assert gaps(ledger, here, coming) == [Range(3, 3)]


def test_what_its_node_sent_itself_or_gave_up_is_no_gap(ledger: Ledger, here: Lane) -> None:
    coming = arriving(said(2), said(9, lost="1,4-5"))
    coming.elsewhere.append(Range(7, 8))
    assert gaps(ledger, here, coming) == [Range(3, 3), Range(6, 6)]


@pytest.mark.parametrize(("lost", "lacks"), [("1-3", []), ("1-4", [Range(1, 3)])])
def test_nobody_gives_up_what_is_not_before_his_loss_record(
    ledger: Ledger, here: Lane, lost: str, lacks: list[Range]
) -> None:
    assert gaps(ledger, here, arriving(said(4, lost=lost))) == lacks


def test_a_loss_counts_as_long_as_the_key_that_declared_it_may_speak(
    ledger: Ledger, here: Lane
) -> None:
    whole, record = [Range(1, 3)], said(4, lost="1-3")
    assert gaps(ledger, here, arriving(record)) == []
    assert gaps(ledger, here, arriving(record, key="0" * 64)) == whole
    assert gaps(ledger, here, arriving(record), TrustStore()) == whole
    elsewhere = TrustStore().with_key("node", "n2", KEY, KEY.id, None)
    assert gaps(ledger, here, arriving(record), elsewhere) == whole
    for first, lacks in [(5, []), (4, whole)]:
        revoked = TRUST.revoke(KEY.id, {"n1/logs": first})
        assert gaps(ledger, here, arriving(record), revoked) == lacks
        assert gaps(ledger, here, arriving(record, key=OLD.id), revoked) == []


def test_what_was_told_of_another_way_counts_as_long_as_no_key_that_may_have_told_it_is_revoked(
    ledger: Ledger, here: Lane
) -> None:
    fill(ledger, here, 1, 1)
    fill(ledger, here, 8, 8)
    ledger.note_elsewhere(here, [Elsewhere(CHAIN, 2, 4, "e" * 64)], KEY.id)
    # By whom, an earlier version did not note.
    ledger.note_elsewhere(here, [Elsewhere(CHAIN, 5, 7, "e" * 64)], "")
    coming = Arriving()
    assert gaps(ledger, here, coming) == []
    assert gaps(ledger, here, coming, TRUST.revoke(OLD.id, {})) == [Range(5, 7)]
    assert gaps(ledger, here, coming, TRUST.revoke(KEY.id, {})) == [Range(2, 7)]


def test_a_fork_fills_no_gap_of_its_own_and_makes_none(ledger: Ledger, here: Lane) -> None:
    for seq, digest in ((2, "a"), (2, "b"), (4, "c")):
        arrival = Arrival(here, seq, digest * 64, CHAIN, NO_DIGEST, NOTHING, NOTHING, (), KEY.id)
        ledger.take_in_all([arrival])
    assert [seq for seq, _ in ledger.forks(here)] == [2]
    assert gaps(ledger, here, Arriving()) == [Range(1, 1), Range(3, 3)]


def test_a_node_is_asked_for_what_never_came_and_for_what_was_lost_here(
    ledger: Ledger, here: Lane
) -> None:
    fill(ledger, here, 2, 9)
    move(ledger, here, (3, 4), (P, L), By.LOSS)
    move(ledger, here, (9, 9), (P, L), By.LOSS)
    fill(ledger, here, 11, 11)
    assert wanting(ledger, here, TRUST) == [
        Range(1, 1), Range(3, 4), Range(9, 10),
    ]  # fmt: skip
    assert gaps(ledger, here, Arriving()) == [Range(1, 1), Range(10, 10)]
