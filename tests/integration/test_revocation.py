"""What a revoked key signed below its number counts only where a segment of a good key links to it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bridge.transfer.importing import Outcome
from keys.ed25519 import SigningKey
from spool.head import read_head, write_head
from spool.ledger import State
from spool.ranges import Range
from tests.support.bundles import Machine, pair

OLD, NEW = SigningKey(bytes([1]) * 32), SigningKey(bytes([9]) * 32)
BOTH = (State.PENDING, State.EXPORTED)


@dataclass
class Site:
    """A node whose old key signed segments 1 to 3 and whose new key signed 4, and its relay."""

    inside: Machine
    relay: Machine
    stick: Path

    def revoke(self, first: int) -> None:
        lanes = {"inside/transactions": first}
        self.relay.trust = self.relay.trust.revoke(OLD.public.id, lanes)

    def take(self, *numbers: int) -> Outcome:
        """Import a bundle of these segments."""
        wanted = {"transactions": [Range(each, each) for each in numbers]}
        self.inside.append(77, stream="logs")  # so that no two bundles have one name
        name = f"{'-'.join(map(str, numbers))}-{len(list(self.stick.iterdir()))}.agb"
        done = self.inside.export(self.relay, self.stick, numbers=wanted, states=BOTH, name=name)
        return self.relay.take(done.path)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    inside, relay = pair(tmp_path)
    stick = tmp_path / "stick"
    stick.mkdir()
    for number in (1, 2, 3):
        inside.append(number)
    inside.key = NEW
    inside.append(4)
    relay.trust = relay.trust.with_key("node", "inside", NEW.public, NEW.public.id, inside.age)
    return Site(inside, relay, stick)


def refused(outcome: Outcome) -> list[tuple[int, str]]:
    assert all(OLD.public.id[:16] in each.error.message for each in outcome.refused)
    return [(each.packed.seq, each.error.id) for each in outcome.refused]


def test_what_the_new_keys_segment_in_the_bundle_links_to_counts_link_by_link(site: Site) -> None:
    site.revoke(4)
    outcome = site.take(1, 2, 3, 4)
    assert (outcome.new, outcome.refused) == (4, [])


def test_what_nothing_of_a_good_key_links_to_does_not_count(site: Site) -> None:
    site.revoke(4)
    outcome = site.take(1, 2, 3)
    assert refused(outcome) == [(n, "key.revoked") for n in (1, 2, 3)]
    assert site.relay.records("inside") == {}


def test_it_counts_once_what_links_to_it_was_imported(site: Site) -> None:
    site.revoke(4)
    assert refused(site.take(2)) == [(2, "key.revoked")]
    assert site.take(4).new == 1
    assert site.take(3).new == 1
    assert refused(site.take(1)) == [(1, "key.revoked")]  # 2 is not here, which would link to it
    assert site.take(1, 2).new == 2


def test_links_lead_through_what_was_imported_and_what_is_in_the_bundle(site: Site) -> None:
    assert site.take(3).new == 1
    site.revoke(4)
    outcome = site.take(2, 4)
    assert (outcome.new, outcome.refused) == (2, [])
    assert site.take(1).new == 1


def test_a_link_of_the_revoked_key_alone_is_none(site: Site) -> None:
    assert site.take(3).new == 1
    site.revoke(4)
    assert refused(site.take(1, 2)) == [(1, "key.revoked"), (2, "key.revoked")]


def test_a_thiefs_segment_in_a_place_that_its_owner_left_empty_does_not_count(
    site: Site, tmp_path: Path
) -> None:
    site.revoke(4)
    assert site.take(1, 2, 4).new == 1  # 3, which would link 4 to them, is not here
    thief = Machine(tmp_path / "thief", "inside", 1)
    for number in (91, 92, 93):
        thief.append(number)
    stolen = Site(thief, site.relay, site.stick)
    assert refused(stolen.take(3)) == [(3, "key.revoked")]
    assert site.take(1, 2, 3).new == 3
    assert site.relay.ledger.forks(site.relay.lane(node="inside")) == []


def test_from_its_number_on_it_does_not_count_also_where_a_good_key_links_to_it(site: Site) -> None:
    site.revoke(3)
    outcome = site.take(1, 2, 3, 4)
    assert (outcome.new, refused(outcome)) == (3, [(3, "key.revoked")])


def test_the_first_segment_of_the_next_chain_vouches_for_the_head_that_it_follows(
    site: Site,
) -> None:
    inside = site.inside
    lane = inside.lane()
    inside.key = OLD
    inside.append(5)
    head = read_head(lane)
    assert head is not None
    write_head(inside.disk, lane, replace(head, folder=0))  # as after a backup was restored
    inside.key = NEW
    inside.append(6)
    site.revoke(6)
    assert refused(site.take(5)) == [(5, "key.revoked")]
    assert site.take(1_000_000).new == 1
    assert site.take(5).new == 1
    assert (site.take(3).new, site.take(3, 4).new) == (0, 2)


@pytest.mark.parametrize("first", [None, 1, 4])
def test_what_was_imported_before_stays_and_is_a_duplicate(site: Site, first: int | None) -> None:
    assert site.take(1, 2).new == 2
    lanes = {} if first is None else {"inside/transactions": first}
    site.relay.trust = site.relay.trust.revoke(OLD.public.id, lanes)
    outcome = site.take(1, 2, 3)
    assert (outcome.duplicate, refused(outcome)) == (2, [(3, "key.revoked")])
    assert site.relay.records("inside") == {State.PENDING: 2}
