"""Segments and chains (33 to 45): what was taken out, put in, exchanged or cut off is told."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spool.chain import NEW_CHAIN_STEP
from spool.head import read_head
from spool.lane import Lane
from tests.attacks.segments import golden_segments
from tests.golden.build import HERE as GOLDEN
from tests.golden.build import (
    LINES,
    SIGNER,
    STRANGER,
    compact,
    envelope,
    frame,
    seal,
    signature,
    signed,
    statement,
)
from tests.golden.good import good
from tests.support import crossings
from tests.support.attacks import Arena, Attack, Command, Home, each, ids
from tests.support.crossings import (
    IMPORT_ONE,
    Held,
    bundle_of,
    chain,
    importing,
    set_head,
    verifying,
)

REFUSED, PARTLY = 4, 3
ONE, TWO, THREE = chain(3)
KEY = "key.pem"


def spool_of(*held: Held) -> Callable[[Home], Command]:
    """To verify a spool with these segments, whose head says that there are three."""

    def made(home: Home) -> Command:
        spool = home.stick / "spool"
        lane = Lane(spool, "prod-1", "transactions")
        for one in held:
            path = lane.segment(one.seq)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.data)
        set_head(lane, [ONE, TWO, THREE])
        return ("verify", "--json", "--key", home.put(KEY, SIGNER.pem), spool)

    return made


def golden_spool(name: str) -> Callable[[Home], Command]:
    def made(home: Home) -> Command:
        shutil.copytree(GOLDEN / "bad" / name, home.stick / "spool")
        return ("verify", "--json", "--key", home.put(KEY, SIGNER.pem), home.stick / "spool")

    return made


WHOLE = spool_of(ONE, TWO, THREE)
LOSS = statement(
    b"", b"", reason="loss", lost={"ranges": "", "records": 1, "raw_size": 80, "why": "bad_frames"}
)
LOSS_PAYLOAD = compact(LOSS)


def loss(*signatures: dict[str, object]) -> bytes:
    return seal(envelope(LOSS_PAYLOAD, list(signatures)))


GOOD_LOSS = loss(signature(LOSS_PAYLOAD))


def one_that_says(**more: object) -> Held:
    """The first segment, whose statement says something else."""
    return Held(1, signed(frame(LINES), statement(frame(LINES), LINES, **more)), LINES)


ELSEWHERE: dict[str, dict[str, object]] = {
    "another-node": {"node": "prod-2"},
    "another-stream": {"stream": "langgraph"},
    "another-number": {"seq": 7, "prev": "1" * 64, "before": {"records": 12, "raw_size": 1200}},
}
ATTACKS = [
    Attack(33, "a-number-missing", spool_of(ONE, THREE), "chain.gap", REFUSED, WHOLE),
    Attack(34, "a-tail-below-the-head", spool_of(ONE, TWO), "chain.gap", REFUSED, WHOLE),
    Attack(40, "link-chain", golden_spool("link-chain"), "chain.broken", REFUSED, WHOLE),
    Attack(40, "link-to-another", golden_spool("link-to-another"), "chain.broken", REFUSED, WHOLE),
    Attack(40, "link-totals", golden_spool("link-totals"), "chain.broken", REFUSED, WHOLE),
    Attack(41, "another-place", golden_spool("another-place"), "segment.place", REFUSED, WHOLE),
    Attack(41, "another-lane", golden_spool("another-lane"), "segment.place", REFUSED, WHOLE),
    *(
        Attack(
            41, f"{name}-imported",
            importing(bundle_of(one_that_says(**more))),
            "segment.place", REFUSED, IMPORT_ONE,
        )
        for name, more in ELSEWHERE.items()
    ),
    *golden_segments(
        {
            40: ["follows-itself", "one-that-follows", "follows-what-comes-later", "first-at-seven"],
            41: ["node-climbs", "stream-climbs", "node-reserved", "node-with-line-end"],
            42: [
                "records-one-more", "records-one-less", "raw-size-one-more", "raw-size-one-less",
                "seal-twice", "junk-before-the-frames", "frame-cut-out", "frame-twice",
            ],
            45: ["loss-without-lost", "lost-without-loss", "lost-ranges-out-of-order"],
        }
    ),
    Attack(45, "a-loss-unsigned", verifying(loss()), "document.field", REFUSED, verifying(GOOD_LOSS)),
    Attack(
        45, "a-loss-by-a-stranger", verifying(loss(signature(LOSS_PAYLOAD, STRANGER))),
        "key.untrusted", REFUSED, verifying(GOOD_LOSS),
    ),
    Attack(
        45, "a-loss-by-a-stranger-imported",
        importing(bundle_of(Held(1, loss(signature(LOSS_PAYLOAD, STRANGER)), b""))),
        "key.untrusted", REFUSED, importing(bundle_of(Held(1, GOOD_LOSS, b""))),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@each(ATTACKS)
def test_attack(relays: Arena, attack: Attack) -> None:
    relays.check(attack)


def test_attack_033_037_a_gap_is_told_by_its_numbers_and_closed_by_what_comes_late(
    relays: Arena,
) -> None:
    home = relays.fresh()
    gap = [{"node": "prod-1", "stream": "transactions", "ranges": "1"}]
    late = home.run(*importing(bundle_of(TWO, serial=8))(home))
    assert (late.code, late.answer["items"][0]["gaps"]) == (PARTLY, gap)
    first = home.run(*importing(bundle_of(THREE, serial=9))(home))
    assert (first.code, first.answer["items"][0]["gaps"]) == (PARTLY, gap)
    closed = home.run(*importing(bundle_of(ONE, serial=7))(home))
    assert (closed.code, closed.answer["items"][0]["gaps"]) == (0, [])
    assert home.run("verify", home.spool).code == 0


def test_attack_034_a_tail_cut_after_its_receipt_is_told_by_the_receipt(tmp_path: Path) -> None:
    home = crossings.node(tmp_path / "node")
    lane = Lane(home.spool, "prod-1", "transactions")
    command = importing(crossings.golden_bundle("good.agr"), "b.agr")(home)
    assert home.run(*command).code == 0
    # The whole spool is set back to the day of its first segment, in place.
    lane.segment(2).unlink()
    set_head(lane, [ONE])
    for path in home.spool.glob("ledger.db*"):
        path.unlink()
    told = home.run(*command)
    assert (told.code, ids(told)) == (PARTLY, ["receipt.foreign"])
    # What the relay knows of is not given out a second time.
    head = read_head(lane)
    assert head is not None
    assert head.seq == NEW_CHAIN_STEP
    assert home.run("verify", home.spool).code == 0


def test_attack_034_a_tail_cut_and_grown_anew_is_a_fork_at_the_relay(relays: Arena) -> None:
    home = relays.fresh()
    assert home.run(*importing(bundle_of(ONE, TWO))(home)).code == 0
    other = statement(
        frame(LINES), LINES, seq=2, prev=ONE.digest,
        before={"records": 2, "raw_size": len(LINES)}, reason="shutdown",
    )  # fmt: skip
    forged = Held(2, signed(frame(LINES), other), LINES)
    told = home.run(*importing(bundle_of(ONE, forged, serial=8))(home))
    (item,) = told.answer["items"]
    assert told.code == PARTLY
    assert [fork["digest"] for fork in item["forks"]] == [forged.digest]
    assert item["segments"] == {"new": 0, "duplicate": 1, "refused": 0}
    kept = Lane(home.spool, "prod-1", "transactions").segment(2).read_bytes()
    assert kept == TWO.data


def test_attack_035_a_tail_that_nobody_saw_is_cut_off_unseen(tmp_path: Path) -> None:
    """Documented: with the head beside it gone too, and no second party, nothing can tell."""
    home = crossings.node(tmp_path / "node")
    lane = Lane(home.spool, "prod-1", "transactions")
    lane.segment(2).unlink()
    set_head(lane, [ONE])
    assert home.run("verify", home.spool).code == 0


def test_attack_040_another_chain_is_kept_and_its_missing_beginning_told(relays: Arena) -> None:
    home = relays.fresh()
    assert home.run(*importing(bundle_of(ONE, TWO))(home)).code == 0
    before = {"records": 12, "raw_size": 1200}
    other = statement(
        frame(LINES), LINES, chain="ab" * 16, seq=1_000_003, prev="1" * 64, before=before
    )
    held = Held(1_000_003, signed(frame(LINES), other), LINES)
    told = home.run(*importing(bundle_of(held, serial=8))(home))
    (item,) = told.answer["items"]
    assert (told.code, item["segments"]["new"]) == (PARTLY, 1)
    assert item["gaps"] == [
        {"node": "prod-1", "stream": "transactions", "ranges": "1000000-1000002"}
    ]
    assert ids(home.run("verify", "--json", home.spool)) == ["chain.gap"]


def test_attack_034_a_tail_that_the_next_chain_names_and_that_never_came_is_a_gap(
    relays: Arena,
) -> None:
    home = relays.fresh()
    assert home.run(*importing(bundle_of(ONE, TWO))(home)).code == 0
    (follows,) = (each for each in good() if each.name.startswith("transactions-000001000000"))
    told = home.run(*importing(bundle_of(Held(1_000_000, follows.data, b""), serial=8))(home))
    (item,) = told.answer["items"]
    assert (told.code, item["gaps"][0]["ranges"]) == (PARTLY, "3-9")


def test_attack_044_a_heartbeat_that_is_overdue_stands_in_the_relays_status_until_one_comes(
    relays: Arena,
) -> None:
    home = relays.fresh()
    assert home.run(*importing(bundle_of(ONE, TWO))(home)).code == 0
    came = Lane(home.spool, "prod-1", "transactions").imported

    def told_after(days: int) -> list[str]:
        when = time.time() - days * 86_400
        os.utime(came, (when, when))
        told = home.run("status", "--json")
        return [one["id"] for one in told.answer["problems"] if one["id"] == "heartbeat.overdue"]

    assert told_after(days=13) == []
    before = home.state()
    assert told_after(days=15) == ["heartbeat.overdue"]
    assert home.state() == before
    assert home.run(*importing(bundle_of(THREE, serial=8))(home)).code == 0
    assert "heartbeat.overdue" not in ids(home.run("status", "--json"))
    # Of a node that is no more nothing is expected.
    assert told_after(days=15) == ["heartbeat.overdue"]
    keys = home.run("keys", "list", "--json").answer["keys"]
    (node,) = (key["id"] for key in keys if key["name"] == "prod-1")
    assert home.run("keys", "revoke", node).code == 0
    assert told_after(days=15) == []
