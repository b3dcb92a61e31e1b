"""Bundles, imports, receipts: what crosses is complete, authentic and counted once."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from bridge.egress.selection import Wanted, choose, send_again
from bridge.operate.crossing import crossing
from bridge.transfer import manifest as manifests
from bridge.transfer import receiptroom, returning, ustar
from bridge.transfer.agefile import make_identity, read_identity, recipient_of
from bridge.transfer.bundle import MANIFEST_NAME, Bundle
from bridge.transfer.exporting import Chosen, chosen, parted
from bridge.transfer.fields import RANGES_TEXT_MAX, SEGMENTS_MAX
from bridge.transfer.gaps import gaps_of
from bridge.transfer.lanesums import LaneSums
from bridge.transfer.storing import COPIES
from keys import dsse
from keys.ed25519 import SigningKey
from keys.errors import BridgeError, VerificationError
from spool.durable import OS_DISK
from spool.head import folder_mark, read_head, write_head
from spool.lane import Lane, lanes
from spool.ledger import Bounds, By, Elsewhere, RecordException, State
from spool.pruning import Pruner
from spool.ranges import Range, format_ranges
from spool.sealing import Sealer
from spool.streams import Kind
from tests.support.bundles import Machine, pair
from tests.support.disks import Dying

P, E, D, Q = State.PENDING, State.EXPORTED, State.DELIVERED, State.QUARANTINED


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    return pair(tmp_path)


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(BridgeError) as caught:
        work()
    return caught.value.id


def parts_of(path: Path) -> list[tuple[str, bytes]]:
    data = path.read_bytes()
    with path.open("rb") as file:
        return [
            (m.name, data[m.offset : m.offset + m.size])
            for m in ustar.members(file.fileno(), len(data))
        ]


def rebuilt(path: Path, parts: list[tuple[str, bytes]]) -> Path:
    """A container of these members in the place of the one at ``path``."""
    path.write_bytes(
        b"".join(ustar.header(n, len(d)) + d + ustar.padding(len(d)) for n, d in parts) + ustar.END
    )
    return path


def resigned(
    path: Path, key: SigningKey, change: Callable[[dict[str, Any]], object], kind: str = ""
) -> Path:
    """The bundle with another manifest, signed by ``key``."""
    (name, envelope), *rest = parts_of(path)
    said = dsse.parse(envelope, limit=len(envelope))
    document = orjson.loads(said.payload)
    change(document)
    sealed = dsse.seal(kind or said.payload_type, orjson.dumps(document), [key])
    return rebuilt(path, [(name, sealed), *rest])


def test_a_bundle_crosses_is_delivered_and_its_receipt_comes_back(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1, 2)
    inside.append(3)
    inside.append(1, stream="logs")
    done = inside.export(relay, stick)
    assert inside.records() == {E: 3}
    outcome = relay.take(done.path)
    assert (outcome.new, outcome.duplicate, outcome.refused, outcome.gaps) == (3, 0, [], {})
    assert relay.records("inside") == {P: 3}
    early = relay.give_back(inside, stick)
    applied = inside.hear(early)
    assert (applied.delivered, applied.pending) == (0, 4)
    assert inside.records() == {E: 3}
    relay.answer("inside")
    applied = inside.hear(relay.give_back(inside, stick))
    assert applied.delivered == 3
    assert inside.records() == {D: 3}
    assert inside.records(stream="logs") == {E: 1}
    assert inside.ledger.newest_receipt("relay-1").serial == 2


def test_attack_84_the_same_bundle_twice_is_a_duplicate(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    path = inside.export(relay, stick).path
    assert relay.take(path).new == 1
    relay.answer("inside")
    again = relay.take(path)
    assert (again.new, again.duplicate) == (0, 1)
    assert relay.records("inside") == {D: 1}


def test_attack_86_37_an_older_bundle_after_a_newer_one_fills_the_gap(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    first = inside.export(relay, stick).path
    inside.append(2)
    second = inside.export(relay, stick).path
    late = relay.take(second)
    assert late.gaps == {("inside", "transactions"): [Range(1, 1)]}
    applied = inside.hear(relay.give_back(inside, stick))
    assert applied.missing == 1
    assert inside.ledger.missing(inside.lane()) == [Range(1, 1)]
    assert relay.take(first).gaps == {}
    assert relay.records("inside") == {P: 2}
    assert inside.hear(relay.give_back(inside, stick)).missing == 0
    assert inside.ledger.missing(inside.lane()) == []


def test_a_gap_is_closed_by_what_the_receipt_asks_for(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    for n in range(4):
        inside.append(n)
    whole = inside.export(relay, stick, numbers={"transactions": [Range(1, 1), Range(4, 4)]})
    relay.take(whole.path)
    inside.hear(relay.give_back(inside, stick))
    asked = inside.ledger.missing(inside.lane())
    assert asked == [Range(2, 3)]
    relay.take(inside.export(relay, stick, numbers={"transactions": asked}).path)
    assert relay.records("inside") == {P: 4}


Document = dict[str, Any]
WRONG: list[tuple[Callable[[Document], object], str]] = [
    (lambda d: d.update(serial=1.0), "json.number"),
    (lambda d: d.update(serial=True), "document.field"),
    (lambda d: d.update(serial="1"), "document.field"),
    (lambda d: d.update(more=1), "document.unknown_key"),
    (lambda d: d.pop("to"), "document.field"),
    (lambda d: d.update(note="a\u202eb"), "document.field"),
    (lambda d: d.update(note="a\nb"), "document.field"),
    (lambda d: d.update(made_at="2026-02-30T00:00:00.000Z"), "manifest.sense"),
    (lambda d: d["members"].pop(), "manifest.sense"),
    (lambda d: d["members"].reverse(), "manifest.sense"),
    (lambda d: d["members"].append(d["members"][0]), "manifest.sense"),
    (lambda d: d["members"][0].update(name="../x"), "document.field"),
    (lambda d: d["members"][0].update(size=10**10), "document.field"),
    (lambda d: d["members"][0].update(size=1), "bundle.members"),
    (lambda d: d["lanes"][0].update(ranges="1-3"), "manifest.sense"),
    (lambda d: d["lanes"][0].update(records=0), "manifest.sense"),
    (lambda d: d["lanes"][0]["head"].update(seq=1), "manifest.sense"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_attack_19_a_manifest_that_is_not_what_our_writer_makes_is_refused(
    machines: tuple[Machine, Machine], stick: Path, number: int
) -> None:
    inside, relay = machines
    change, error = WRONG[number]
    inside.append(1)
    inside.append(2)
    path = inside.export(relay, stick).path
    assert refused(lambda: relay.take(resigned(path, inside.key, change))) == error
    assert relay.records("inside") == {}


def test_what_was_tampered_with_is_refused_and_the_rest_goes_on(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    for n in range(3):
        inside.append(n)
    path = inside.export(relay, stick).path
    manifest, one, two, three = parts_of(path)
    flipped = bytearray(two[1])
    flipped[20] ^= 1
    outcome = relay.take(rebuilt(path, [manifest, one, (two[0], bytes(flipped)), three]))
    assert outcome.new == 2
    assert [each.packed.seq for each in outcome.refused] == [2]
    assert outcome.refused[0].error.id in ("segment.digest", "frame.content")
    assert outcome.gaps == {("inside", "transactions"): [Range(2, 2)]}
    assert relay.records("inside") == {P: 2}


def test_members_that_the_manifest_does_not_name_are_refused(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    inside.append(2)
    path = inside.export(relay, stick).path
    manifest, one, two = parts_of(path)
    more = ("segments/inside/transactions/000000000003.ndjson.zst", two[1])
    for parts in ([manifest, one], [manifest, two, one], [manifest, one, two, more], [one, two]):
        rebuilt(path, parts)
        assert refused(lambda: relay.take(path)).startswith("bundle.")
    assert relay.records("inside") == {}


def test_a_second_segment_of_one_number_is_a_fork_kept_and_counted_by_itself(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    relay.take(inside.export(relay, stick).path)
    twin = Machine(tmp_path / "twin", "inside", 1)
    twin.trusts(relay, "relay")
    twin.append(2)
    outcome = relay.take(twin.export(relay, stick, name="twin.agb").path)
    assert [each.seq for each in outcome.forks] == [1]
    lane = relay.lane(node="inside")
    assert [seq for seq, _ in relay.ledger.forks(lane)] == [1]
    assert len(list(lane.forks.iterdir())) == 1
    assert relay.records("inside") == {P: 2}
    again = relay.take(stick / "twin.agb")
    assert again.duplicate == 1
    assert relay.records("inside") == {P: 2}


def test_a_fork_is_delivered_and_receipted_by_its_digest_and_each_side_hears_of_it(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    twin = Machine(tmp_path / "twin", "inside", 1)
    twin.trusts(relay, "relay")
    inside.append(1)
    shutil.copytree(inside.lane().folder, twin.lane().folder)
    _unnoticed_copy(twin.lane())
    for machine, records in ((inside, (2, 3)), (twin, (4,))):
        machine.append(*records)  # both call it 2, of one chain
    relay.take(inside.export(relay, stick, name="one.agb").path)
    outcome = relay.take(twin.export(relay, stick, name="twin.agb").path)
    assert ([each.seq for each in outcome.forks], outcome.duplicate) == ([2], 1)
    relay.answer("inside")
    (fork,) = relay.lane(node="inside").fork_lanes()
    assert relay.records("inside") == {D: 3, P: 1}
    (span,) = relay.ledger.spans(fork)
    relay.ledger.move(
        fork, 2, 2, source=P, target=D, by=By.ANSWER,
        before_first=span.before, after_last=span.after,
    )  # fmt: skip
    path = relay.give_back(inside, stick)
    for machine, delivered in ((inside, 3), (twin, 2)):
        told = machine.hear(path)
        assert told.forks == [("transactions", 2)]
        assert told.forked == ["transactions"]
        assert machine.records() == {D: delivered}


def test_which_chain_is_to_be_left_is_told_again_to_who_was_killed_before_leaving_it(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    shutil.copytree(inside.spool, tmp_path / "backup")
    inside.append(2)
    relay.take(inside.export(relay, stick).path)
    inside.ledger.close()
    shutil.rmtree(inside.spool)
    shutil.copytree(tmp_path / "backup", inside.spool)
    _unnoticed_copy(inside.lane())
    restored = Machine(inside.folder, "inside", 1, trust=inside.trust)
    back = relay.give_back(restored, stick)
    for stale in (False, True):
        told = restored.hear(back)
        assert (told.stale, told.ahead) == (stale, {"transactions": 2})
    Sealer(OS_DISK, restored.lane(), restored.key, restored.clock).settle_head(2)
    assert restored.hear(back).ahead == {}


def _unnoticed_copy(lane: Lane) -> None:
    """As if the copy had the inode of the original: a disk that was cloned whole."""
    head = read_head(lane)
    assert head is not None
    write_head(OS_DISK, lane, replace(head, folder=folder_mark(lane)))


def test_a_node_that_is_told_of_a_fork_goes_on_in_a_new_chain(
    machines: tuple[Machine, Machine],
) -> None:
    inside, _ = machines
    inside.append(1)
    before = read_head(inside.lane())
    assert before is not None
    said = Sealer(OS_DISK, inside.lane(), inside.key, inside.clock).leave_fork()
    assert said.follows is not None
    assert (said.follows.chain, said.follows.seq, said.follows.digest, said.follows.why) == (
        before.chain, 1, before.digest, "fork",
    )  # fmt: skip
    assert (said.seq, said.chain == before.chain) == (1_000_000, False)
    inside.append(2)
    assert inside.records() == {P: 2}


def test_a_segment_that_follows_another_one_than_came_vouches_for_nothing_before_it(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    """Two machines made a 2; the relay got one of them, and the 3 of the other."""
    inside, relay = machines
    twin = Machine(tmp_path / "twin", "inside", 1)
    inside.append(1)
    shutil.copytree(inside.lane().folder, twin.lane().folder)
    _unnoticed_copy(twin.lane())
    inside.append(2)
    twin.append(3, 33)  # not as many records: the sums of its 3 do not go on from the other 2
    twin.append(4)
    relay.take(inside.export(relay, stick, name="one.agb").path)
    three = {"transactions": [Range(3, 3)]}
    of_the_twin = twin.export(relay, stick, numbers=three, name="three.agb").path
    for dry_run in (True, False):
        outcome = relay.take(of_the_twin, dry_run=dry_run)
        assert [each.seq for each in outcome.unlinked] == [3]
    relay.answer("inside")
    path = relay.give_back(inside, stick)
    twin.trusts(relay, "relay")
    told = twin.hear(path)
    assert told.foreign == [("transactions", 2)]
    assert twin.records() == {P: 3, D: 1}  # its own 2 is not called delivered


def test_what_came_before_another_machines_predecessor_is_told_of_when_that_comes(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    twin = Machine(tmp_path / "twin", "inside", 1)
    inside.append(1)
    shutil.copytree(inside.lane().folder, twin.lane().folder)
    _unnoticed_copy(twin.lane())
    for machine in (inside, twin):
        machine.append(2)
        machine.append(3)
    three = {"transactions": [Range(3, 3)]}
    relay.take(inside.export(relay, stick, numbers=three, name="three.agb").path)
    rest = {"transactions": [Range(2, 3)]}
    path = twin.export(relay, stick, numbers=rest, name="rest.agb").path
    for dry_run in (True, False):
        outcome = relay.take(path, dry_run=dry_run)
        assert [each.seq for each in outcome.forks] == [3]
        assert [each.seq for each in outcome.unlinked] == [3]


def test_attack_90_92_a_stale_or_foreign_receipt_changes_nothing(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    for n in range(5):
        inside.append(n)
    relay.take(inside.export(relay, stick).path)
    relay.answer("inside", upto=3)
    old = relay.give_back(inside, stick)
    assert inside.hear(old).delivered == 3
    assert inside.records() == {D: 3, E: 2}
    relay.answer("inside")
    assert inside.hear(relay.give_back(inside, stick)).delivered == 2
    again = inside.hear(old)
    assert (again.delivered, again.stale) == (0, True)
    assert inside.records() == {D: 5}
    assert list(inside.lane().sealed_numbers()) == [1, 2, 3, 4, 5]
    twin = Machine(tmp_path / "twin", "inside", 1)
    twin.trusts(relay, "relay")
    twin.append(9)
    foreign = twin.hear(old)
    assert foreign.foreign == [("transactions", 3), ("transactions", 5)]
    assert twin.records() == {P: 1}


def test_a_revoked_relays_receipt_counts_no_more(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    relay.take(inside.export(relay, stick).path)
    relay.answer("inside")
    back = relay.give_back(inside, stick)
    trusted = inside.trust
    inside.trust = trusted.revoke(relay.key.public.id, {})
    assert refused(lambda: inside.hear(back)) == "key.untrusted"
    assert inside.records() == {E: 1}
    inside.trust = trusted
    assert inside.hear(back).delivered == 1


def test_what_the_beacon_refused_comes_back_by_record(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1, 2, 3)
    relay.take(inside.export(relay, stick).path)
    lane = relay.lane(node="inside")
    relay.answer("inside")
    with relay.ledger._database.write() as tx:  # noqa: SLF001 - as a bisected refusal leaves it
        tx.execute(
            "INSERT INTO exception (lane, seq, line, at, verdict, status, text)"
            " SELECT id, 1, 2, 5, 'refused', 422, 'secret text of theirs' FROM lane WHERE node = ?",
            (lane.node,),
        )
    back = relay.give_back(inside, stick)
    assert b"secret text" not in back.read_bytes()
    for _, data in parts_of(back)[1:]:
        assert b"secret text" not in dsse.parse(data, limit=len(data)).payload
    applied = inside.hear(back)
    assert (applied.delivered, applied.quarantined) == (2, 1)
    (found,) = inside.ledger.exceptions(inside.lane())
    assert (found.seq, found.line, found.status) == (1, 2, 422)
    assert inside.records() == {D: 2, Q: 1}


def test_what_was_refused_and_taken_at_a_second_time_is_delivered_on_both_sides(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    """The relay's operator sent it again, once the beacon was mended; one the node had given up."""
    inside, relay = machines
    inside.append(0, 1, 2)
    inside.append(3)
    relay.take(inside.export(relay, stick).path)
    there = relay.lane(node="inside")
    (span,) = relay.ledger.spans(there, P)
    odd = [
        RecordException(seq, line, 5, "refused", 422, "") for seq, line in ((1, 0), (1, 2), (2, 0))
    ]
    relay.ledger.confirm(
        there, Range(1, 2), D, before=span.before, after=span.after, exceptions=odd
    )
    inside.hear(relay.give_back(inside, stick))
    assert inside.records() == {D: 1, Q: 3}
    inside.ledger.discard(inside.lane(), 2, [0], "not worth it")
    (found,) = choose(relay.ledger, [there], Wanted(frozenset({Q})), {})[:1]
    found.lines = [lines for lines in found.lines if lines.segment.seq == 1]
    found.lines[0] = replace(found.lines[0], numbers=(2,))
    send_again(relay.ledger, found)
    inside.hear(relay.give_back(inside, stick))
    assert inside.records() == {D: 1, Q: 2, State.LOST: 1}
    relay.answer("inside")
    assert relay.records("inside") == {D: 2, Q: 2}
    applied = inside.hear(relay.give_back(inside, stick))
    assert (applied.delivered, applied.quarantined) == (1, 0)
    assert inside.records() == {D: 2, Q: 1, State.LOST: 1}
    assert [(each.seq, each.line) for each in inside.ledger.exceptions(inside.lane())] == [
        (1, 0), (2, 0),
    ]  # fmt: skip


def test_age_itself_opens_our_bundle_and_ours_opens_one_of_age(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    ours = inside.export(relay, stick, age=[relay.age]).path
    assert ours.name.endswith(".agb.age")
    key = relay.folder / "age.key"
    clear = subprocess.run(["age", "-d", "-i", key, ours], check=True, capture_output=True).stdout
    theirs = stick / "by-age.agb.age"
    subprocess.run(
        ["age", "-r", relay.age, "-o", theirs], input=clear, check=True, capture_output=True
    )
    assert relay.take(theirs).new == 1
    assert relay.take(ours).duplicate == 1


def test_identities_are_one_secret_key_that_others_cannot_read(tmp_path: Path) -> None:
    path = make_identity(tmp_path)
    before = path.read_bytes()
    assert make_identity(tmp_path).read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert recipient_of(read_identity(path)).startswith("age1")
    path.chmod(0o640)
    assert refused(lambda: read_identity(path)) == "age.identity"
    path.chmod(0o600)
    path.write_text("AGE-SECRET-KEY-1NOTHING\n")
    assert refused(lambda: read_identity(path)) == "age.identity"


def test_nothing_half_written_stays_where_a_medium_fails(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    with pytest.raises(OSError, match="directory"):
        inside.export(relay, tmp_path / "nowhere")
    assert inside.records() == {P: 1}
    assert inside.ledger.bundles() == []


def test_what_is_exported_is_not_sent_by_a_batch_of_before(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1, 2)
    (span,) = inside.ledger.spans(inside.lane())
    inside.ledger.open_batch(inside.lane(), Bounds(span.chain, 1, 0, 1, 2), "key")
    inside.export(relay, stick)
    assert inside.ledger.open_batches(inside.lane()) == []
    assert inside.records() == {E: 2}


def test_bundles_are_as_many_as_the_size_asks_for(machines: tuple[Machine, Machine]) -> None:
    inside, _ = machines
    for n in range(10):
        inside.append(n)
    found: list[Chosen] = list(chosen(inside.lane(), [Range(1, 10)]))
    one = found[0].packed.size + 2048
    parts = list(parted(found, 3 * one + 8 * ustar.BLOCK + 100))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert refused(lambda: list(parted(found, 1000))) == "export.max_size"


def test_a_reviewer_sees_with_tar_zstd_and_jq_what_leaves(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1, 2)
    path = inside.export(relay, stick, note="for review").path
    name = "segments/inside/transactions/000000000001.ndjson.zst"
    told = subprocess.run(
        ["sh", "-c", f"tar -xOf '{path}' {name} | zstd -dcq | jq -r .id"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == ["1", "2"]
    said = subprocess.run(
        [
            "sh",
            "-c",
            f"tar -xOf '{path}' {MANIFEST_NAME} | jq -r '.payload|@base64d|fromjson|.note'",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == "for review"


def test_a_relay_that_lost_its_ledger_sends_what_it_holds_once_more(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    for n in range(3):
        inside.append(n)
    path = inside.export(relay, stick).path
    relay.take(path)
    relay.answer("inside", upto=2)
    relay.ledger.close()
    for left in relay.spool.glob("ledger.db*"):
        left.unlink()
    again = Machine(relay.folder, relay.name, relay.seed, relay.trust)
    again.look()
    assert again.records("inside") == {P: 3}
    assert again.take(path).duplicate == 3
    again.answer("inside")
    assert inside.hear(again.give_back(inside, stick)).delivered == 3


def test_what_needs_a_person_is_a_problem_of_the_status(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines

    def ids(machine: Machine, at: int, overdue: int | None = 1000) -> list[str]:
        found = crossing(
            machine.ledger,
            list(lanes(machine.spool)),
            at,
            overdue,
            lambda lane: list(gaps_of(machine.ledger, lane, machine.trust)),
        )
        return [problem.id for problem in found]

    inside.append(1)
    inside.append(2)
    path = inside.export(relay, stick, numbers={"transactions": [Range(2, 2)]}).path
    now = inside.clock.wall
    assert ids(inside, now + 1000) == []
    assert ids(inside, now + 1001) == ["transfer.overdue"]
    assert ids(inside, now - 1001) == ["transfer.overdue"]  # a clock that was ahead wrote that
    assert ids(inside, now - 999) == []
    assert ids(inside, now + 1001, None) == []
    relay.take(path)
    assert ids(relay, now) == ["transfer.gap"]
    relay.answer("inside")
    inside.hear(relay.give_back(inside, stick))
    assert ids(inside, now + 1001) == ["transfer.missing"]
    relay.take(
        inside.export(relay, stick, numbers={"transactions": [Range(1, 1)]}, states=(P,)).path
    )
    assert ids(relay, now) == []
    twin = Machine(tmp_path / "twin", "inside", 1)
    twin.trusts(relay, "relay")
    twin.append(7)
    twin.append(8)
    relay.take(twin.export(relay, stick, name="twin.agb").path)
    assert ids(relay, now) == ["transfer.fork"]


@pytest.mark.parametrize("at", range(1, 14))
def test_an_import_that_dies_at_any_step_is_finished_by_the_next(
    machines: tuple[Machine, Machine], stick: Path, at: int
) -> None:
    inside, relay = machines
    for n in range(3):
        inside.append(n)
    path = inside.export(relay, stick).path
    with suppress(KeyboardInterrupt):
        relay.take(path, disk=Dying(at))
    held = set(relay.lane(node="inside").sealed_numbers())
    known = {
        seq
        for span in relay.ledger.spans(relay.lane(node="inside"))
        for seq in range(span.first, span.last + 1)
    }
    assert known <= held  # what counts is there
    again = relay.take(path)
    assert again.new + again.duplicate == 3
    assert (again.refused, again.forks, again.gaps) == ([], [], {})
    assert relay.records("inside") == {P: 3}
    assert set(relay.lane(node="inside").sealed_numbers()) == {1, 2, 3}


def test_a_dry_run_takes_nothing(machines: tuple[Machine, Machine], stick: Path) -> None:
    inside, relay = machines
    inside.append(1)
    path = inside.export(relay, stick).path
    assert relay.take(path, dry_run=True).new == 1
    assert relay.records("inside") == {}
    assert not (relay.spool / "inside").exists()


def test_a_manifest_of_the_most_segments_is_within_its_limit() -> None:
    node, stream = "n" * 63, "s" * 32
    packed = tuple(
        manifests.Packed(node, stream, 2 * n, 10**9, "f" * 64) for n in range(1, SEGMENTS_MAX + 1)
    )
    ranges = tuple(Range(each.seq, each.seq) for each in packed)
    lane = LaneSums(node, stream, ranges, 1, 1, 5, 6, "c" * 32, 10**6, "d" * 64, ())
    run = Elsewhere("c" * 32, 10**11, 10**11, "f" * 64)
    sent = tuple(manifests.Sent(stream, run) for _ in range(manifests.ELSEWHERE_MAX))
    told = manifests.Manifest("a" * 32, 1, 5, node, "r", "", 0, (lane,), packed, (), sent)
    envelope = dsse.seal(
        manifests.PAYLOAD_TYPES[2], manifests.encode(told), [SigningKey(b"k" * 32)]
    )
    assert len(envelope) <= manifests.MANIFEST_MAX


def test_an_open_bundle_is_not_read_by_its_name(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    link = stick / "link.agb"
    link.symlink_to("/etc/passwd")
    assert refused(lambda: relay.take(link)) == "file.kind"
    os.mkfifo(stick / "fifo.agb")
    assert refused(lambda: relay.take(stick / "fifo.agb")) == "file.kind"
    inside.append(1)
    assert isinstance(relay.opened(inside.export(relay, stick).path), Bundle)


def test_a_lane_of_an_imported_node_stands_beside_ones_own(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    relay.append(7)
    inside.append(1)
    relay.take(inside.export(relay, stick).path)
    assert Lane(relay.spool, "inside", "transactions").imported.exists()
    assert relay.records() == {P: 1}
    with pytest.raises(VerificationError):
        relay.take(relay.export(inside, stick, name="own.agb").path)


def test_what_is_new_is_exported_also_where_it_is_packed_with_what_was_exported_before(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    inside.export(relay, stick)
    inside.append(2)
    inside.append(3)
    inside.export(relay, stick, states=(P, E))
    assert inside.records() == {E: 3}


def test_one_digest_in_two_streams_has_one_segment_refused_and_the_rest_goes_on(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1, stream="logs")
    inside.append(2)

    def lie(said: dict[str, Any]) -> None:
        logs, transactions = said["members"]
        transactions["digest"] = logs["digest"]

    path = resigned(inside.export(relay, stick).path, inside.key, lie)
    outcome = relay.take(path)
    told = [(each.packed.stream, each.error.id) for each in outcome.refused]
    assert (outcome.new, told) == (1, [("transactions", "bundle.digest")])


def test_numbers_with_more_holes_than_a_manifest_has_room_for_go_in_several_bundles() -> None:
    lane = Lane(Path("/"), "n", "logs")
    found = [
        Chosen(lane, None, manifests.Packed("n", "logs", seq, 1, "f" * 64))  # type: ignore[arg-type]
        for seq in range(10**9, 10**9 + 2 * SEGMENTS_MAX, 2)
    ]
    for part in parted(found, 10**12):
        numbers = dict(manifests.numbers_of([each.packed for each in part]))["n", "logs"]
        assert len(format_ranges(numbers)) <= RANGES_TEXT_MAX
    assert [each for part in parted(found, 10**12) for each in part] == found


def test_a_receipt_asks_for_no_more_holes_than_its_reader_takes(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    relay.take(inside.export(relay, stick).path)
    holes = [Range(seq, seq + 1) for seq in range(10**9, 10**9 + 4000, 4)]
    monkeypatch.setattr(returning, "wanting", lambda *_: holes)
    applied = inside.hear(relay.give_back(inside, stick))
    assert 500 < applied.missing // 2 < len(holes)


def test_what_lies_between_the_numbers_of_a_bundle_is_not_read_from_the_books(
    machines: tuple[Machine, Machine], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, relay = machines
    for number in range(5):
        inside.append(number)
    relay.take(inside.export(relay, stick).path)
    ends = {"transactions": [Range(1, 1), Range(5, 5)]}
    path = inside.export(relay, stick, numbers=ends).path
    asked = []
    digests = relay.ledger.imported_digests

    def watched(lane: Lane, numbers: Range) -> dict[int, set[str]]:
        asked.append(numbers)
        return digests(lane, numbers)

    monkeypatch.setattr(relay.ledger, "imported_digests", watched)
    assert relay.take(path).duplicate == 2
    assert asked == [Range(1, 1), Range(5, 5)]


def test_where_a_link_in_the_place_of_the_copies_leads_nothing_is_taken_away(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "precious").touch()
    (relay.spool / COPIES).symlink_to(tmp_path / "theirs")
    assert relay.take(inside.export(relay, stick).path).new == 1
    assert (tmp_path / "theirs" / "precious").exists()


def test_a_folder_among_the_copies_stops_no_import(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    inside.append(1)
    (relay.spool / COPIES / "folder").mkdir(parents=True)
    assert relay.take(inside.export(relay, stick).path).new == 1


def test_what_was_deleted_after_it_was_delivered_is_not_called_foreign(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    """Two chains: once the end of the old one went, nothing here links to it any more."""
    inside, relay = machines
    inside.append(1)
    inside.append(2)
    lane = inside.lane()
    lane.head.unlink()
    inside.append(3)
    relay.take(inside.export(relay, stick).path)
    relay.answer("inside")
    assert inside.hear(relay.give_back(inside, stick)).delivered == 3
    old = Pruner(inside.ledger, lambda _: None, inside.disk).by_age(
        [lane], dict.fromkeys(get_args(Kind), 2**60)
    )
    assert [each.numbers for each in old] == [(Range(1, 2),)]
    assert inside.hear(relay.give_back(inside, stick)).foreign == []
    # Above the head nothing is deleted: who cut that off is told.
    inside.append(4)
    before = lane.head.read_bytes()
    inside.append(5)
    relay.take(inside.export(relay, stick).path)
    relay.answer("inside")
    inside.hear(relay.give_back(inside, stick))
    lane.segment(1_000_002).unlink()
    lane.head.write_bytes(before)
    assert inside.hear(relay.give_back(inside, stick)).foreign == [("transactions", 1_000_002)]


def test_segments_of_more_refused_records_than_a_receipt_holds_hide_none_that_was_delivered(
    machines: tuple[Machine, Machine], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "_MANY", 2)
    monkeypatch.setattr(receiptroom, "REFUSED_MAX", 2)
    inside, relay = machines
    for first in (1, 11, 21, 31):
        inside.append(first, first + 1, first + 2)
    relay.take(inside.export(relay, stick).path)
    lane = relay.lane(node="inside")
    (span,) = relay.ledger.spans(lane)
    refused = [RecordException(2, line, 1, "refused", 422, "no") for line in range(3)]
    refused.append(RecordException(4, 1, 1, "refused", 422, "no"))
    relay.ledger.confirm(
        lane, Range(1, 4), D, before=span.before, after=span.after, exceptions=refused
    )
    _, left_out = returning.receipt_for(
        relay.ledger, relay.trust, relay.spool, relay.name, "inside", relay.clock, dry_run=True
    )
    assert left_out == 1
    applied = inside.hear(relay.give_back(inside, stick))
    assert (applied.delivered, applied.quarantined, applied.foreign) == (8, 1, [])
    assert [(s.first, s.last, s.state) for s in inside.ledger.spans(inside.lane())] == [
        (1, 1, D),
        (2, 2, E),
        (3, 4, D),
    ]
