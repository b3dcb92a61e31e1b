"""A relay does not miss what its node sent to the beacon itself, once it can be told."""

import json
from pathlib import Path

import pytest

from bridge.transfer import exporting
from bridge.transfer.bundle import Bundle
from bridge.transfer.gaps import wanting
from bridge.transfer.manifest import Sent
from keys.ed25519 import SigningKey
from spool.ledger import By, Elsewhere, State
from spool.ranges import Range
from tests.support.bundles import Machine, pair

LANE = ("inside", "transactions")


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    """A node and a relay; the node sent 2 and 3 itself, and packed 1."""
    (tmp_path / "stick").mkdir()
    inside, relay = pair(tmp_path)
    inside.append(1)
    relay.take(inside.export(relay, tmp_path / "stick").path)
    inside.append(2)
    inside.append(3)
    inside.answer("inside")
    inside.append(4)
    return inside, relay


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return tmp_path / "stick"


def heard(inside: Machine, relay: Machine, stick: Path) -> None:
    """The node gets a return bundle, and knows what the relay reads."""
    inside.hear(relay.give_back(inside, stick))


def manifest(machine: Machine, path: Path) -> tuple[int, list[tuple[int, int]]]:
    found = machine.opened(path)
    assert isinstance(found, Bundle)
    told = found.manifest
    return told.version, [(sent.run.first, sent.run.last) for sent in told.elsewhere or ()]


def test_a_relay_from_which_nothing_ever_came_back_is_told_too(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    path = inside.export(relay, stick).path
    assert manifest(relay, path) == (2, [(2, 3)])
    assert relay.take(path).gaps == {}


def test_a_relay_that_reads_version_1_alone_is_told_nothing_and_calls_it_a_gap(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.ledger.note_receipt("relay-1", 1, 1, [], ["segment.v1", "bundle.v1"])
    path = inside.export(relay, stick).path
    assert manifest(relay, path) == (1, [])
    assert relay.take(path).gaps == {LANE: [Range(2, 3)]}


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_went_another_way_is_no_gap_and_is_not_asked_for(
    machines: tuple[Machine, Machine], stick: Path, *, dry_run: bool
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    path = inside.export(relay, stick).path
    version, told = manifest(relay, path)
    assert (version, (2, 3) in told) == (2, True)
    outcome = relay.take(path, dry_run=dry_run)
    assert (outcome.new, outcome.gaps, outcome.unlinked) == (1, {}, [])
    if not dry_run:
        assert wanting(relay.ledger, relay.lane(node="inside"), relay.trust) == []
        relay.answer("inside")
        applied = inside.hear(relay.give_back(inside, stick))
        assert (applied.missing, applied.foreign) == (0, [])


def test_a_gap_that_was_reported_closes_with_the_next_bundle(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    relay.take(inside.export(relay, stick).path)
    heard(inside, relay, stick)
    inside.append(5)
    outcome = relay.take(inside.export(relay, stick).path)
    assert (outcome.gaps, outcome.unlinked) == ({}, [])


def test_what_is_really_missing_is_still_missing(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    inside.export(relay, stick)  # 4, on a stick that is lost
    inside.append(5)
    outcome = relay.take(inside.export(relay, stick).path)
    assert outcome.gaps == {LANE: [Range(4, 4)]}


def test_a_segment_that_does_not_name_the_last_of_what_went_before_it_is_told(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.ledger.note_receipt("relay-1", 1, 1, [], ["segment.v1", "bundle.v1"])
    path = inside.export(relay, stick).path  # which tells nothing
    found = relay.opened(path)
    assert isinstance(found, Bundle)
    lie = Elsewhere(found.manifest.lanes[0].head_chain, 2, 3, "e" * 64)
    relay.ledger.note_elsewhere(relay.lane(node="inside"), [lie], inside.key.public.id)
    for dry_run in (True, False):
        assert [each.seq for each in relay.take(path, dry_run=dry_run).unlinked] == [4]


def test_it_is_not_any_more_once_the_one_before_it_has_come(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    four = {"transactions": [Range(4, 4)]}
    relay.take(inside.export(relay, stick, numbers=four, name="four.agb").path)
    lane = relay.lane(node="inside")
    told = [Elsewhere(relay.ledger.spans(lane)[0].chain, 2, 3, "e" * 64)]
    relay.ledger.note_elsewhere(lane, told, inside.key.public.id)
    assert relay.ledger.unlinked(lane) == [4]
    both = {"transactions": [Range(3, 4)]}
    path = inside.export(relay, stick, numbers=both, name="both.agb").path
    for dry_run in (True, False):
        assert relay.take(path, dry_run=dry_run).unlinked == []


def test_that_is_told_as_well_where_the_segment_came_first(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    path = inside.export(relay, stick).path
    assert relay.take(path).unlinked == []
    lane = relay.lane(node="inside")
    chain = relay.ledger.spans(lane)[0].chain
    told = [Elsewhere(chain, 2, 3, "e" * 64)]
    relay.ledger.note_elsewhere(lane, told, inside.key.public.id)
    assert relay.ledger.unlinked(lane) == [4]


def test_what_waits_here_is_sent_though_its_node_says_that_it_sent_it_too(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    """Never lost comes before never twice: the word may be that of a stolen key."""
    inside, relay = machines
    relay.take(inside.export(relay, stick).path)
    waits = relay.records("inside")
    (span,) = inside.ledger.spans(inside.lane(), State.EXPORTED)[-1:]
    inside.ledger.move(
        inside.lane(), span.first, span.last,
        source=State.EXPORTED, target=State.DELIVERED, by=By.ANSWER,
        before_first=span.before, after_last=span.after,
    )  # fmt: skip
    inside.append(5)
    path = inside.export(relay, stick).path
    assert (2, 4) in manifest(relay, path)[1]
    relay.take(path)
    assert relay.records("inside") == {State.PENDING: waits[State.PENDING] + 1}


def test_what_was_told_before_is_kept_once(machines: tuple[Machine, Machine]) -> None:
    _, relay = machines
    lane = relay.lane(node="inside")
    for first, last in ((2, 3), (2, 3), (2, 8), (5, 6)):
        relay.ledger.note_elsewhere(lane, [Elsewhere("c" * 32, first, last, "e" * 64)], "f" * 64)
    assert relay.ledger.elsewhere(lane) == [Range(2, 8)]


def test_runs_of_delivered_numbers_end_where_something_else_was_between_them(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    inside.append(5)
    inside.ledger.spans(inside.lane())
    path = inside.export(relay, stick, numbers={"transactions": [Range(4, 4)]}).path
    inside.answer("inside")  # 5
    inside.append(6)
    told = json.dumps(manifest(relay, inside.export(relay, stick).path))
    assert told == json.dumps([2, [[2, 3], [5, 5]]])
    assert relay.take(path).new == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_revoked_keys_word_on_what_went_another_way_hides_no_gap(
    machines: tuple[Machine, Machine], stick: Path, *, dry_run: bool
) -> None:
    inside, relay = machines
    relay.take(inside.export(relay, stick).path)
    heard(inside, relay, stick)
    inside.append(5)
    path = inside.export(relay, stick).path
    assert (2, 3) in manifest(relay, path)[1]
    relay.trust = relay.trust.revoke(inside.key.public.id, {})
    assert relay.take(path, dry_run=dry_run).gaps == {LANE: [Range(2, 3)]}
    assert wanting(relay.ledger, relay.lane(node="inside"), relay.trust) == [Range(2, 3)]


def test_what_a_key_told_before_it_was_revoked_hides_no_gap_either(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    assert relay.take(inside.export(relay, stick).path).gaps == {}
    relay.trust = relay.trust.revoke(inside.key.public.id, {"inside/transactions": 9})
    assert wanting(relay.ledger, relay.lane(node="inside"), relay.trust) == [Range(2, 3)]
    asked = inside.hear(relay.give_back(inside, stick))
    assert asked.missing == 0  # the node knows better, and packs nothing twice


def test_a_good_key_that_tells_the_same_again_is_believed(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    relay.take(inside.export(relay, stick).path)
    relay.trust = relay.trust.revoke(inside.key.public.id, {"inside/transactions": 5})
    inside.key = SigningKey(bytes([9]) * 32)
    relay.trusts(inside, "node")
    inside.append(5)
    assert relay.take(inside.export(relay, stick).path).gaps == {}
    assert wanting(relay.ledger, relay.lane(node="inside"), relay.trust) == []


def test_whose_word_it_was_that_an_earlier_ledger_did_not_note_counts_until_a_key_is_revoked(
    machines: tuple[Machine, Machine],
) -> None:
    inside, relay = machines
    lane = relay.lane(node="inside")
    relay.ledger.note_elsewhere(lane, [Elsewhere("c" * 32, 2, 3, "e" * 64)], "")
    assert relay.ledger.elsewhere(lane) == [Range(2, 3)]
    later = [Elsewhere("c" * 32, 6, 7, "e" * 64)]
    relay.ledger.note_elsewhere(lane, later, "f" * 64)
    relay.trust = relay.trust.revoke(inside.key.public.id, {})
    assert relay.ledger.elsewhere(lane, but_by={"", inside.key.public.id}) == [Range(6, 7)]


def test_what_is_told_of_a_stream_that_is_not_known_here_makes_no_lane(
    machines: tuple[Machine, Machine], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, relay = machines
    heard(inside, relay, stick)
    sent = Sent("newer", Elsewhere("c" * 32, 1, 5, "d" * 64))
    monkeypatch.setattr(exporting, "sent_elsewhere", lambda *_: (sent,))
    assert relay.take(inside.export(relay, stick).path).new == 1
    assert [(each.node, each.stream) for each in relay.ledger.counts()] == [LANE]
