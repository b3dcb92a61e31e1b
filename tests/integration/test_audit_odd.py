"""``scripts/audit.sh`` refuses what our reader refuses of odd bundles, chains, heads and notes.

All of it is well signed: what is judged is what a manifest, a receipt, a head or a chain says.
"""

import hashlib
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bridge.transfer import manifest as manifests
from bridge.transfer import receipt as receipts
from bridge.transfer import returnmanifest
from bridge.transfer import ustar as ustar_file
from keys import rotation as rotations
from keys.ed25519 import SigningKey
from spool import chain, frames, head, segment
from spool.clock import SYSTEM_CLOCK
from spool.frontier import FRONTIER_MAX, Frontier, write_frontier
from spool.head import read_head
from spool.lane import SHARD, Lane
from spool.ledger_audit import RecordException
from spool.ranges import ChainRanges, Range
from spool.sealing import Sealer
from spool.verification import verify
from spool.writer import Writer
from tests.golden.build import (
    CHAIN,
    HERE,
    LINES,
    SUCCESSOR,
    ZEROS,
    compact,
    frame,
    signed,
    statement,
)
from tests.golden.bundles import answer_of, bundle_of, forked, manifest, receipt, ustar
from tests.support.commands import bridge
from tests.support.spools import FAST

LIMITS: dict[ModuleType, tuple[str, ...]] = {
    frames: ("FRAME_RAW_MAX", "WINDOW_MAX", "BLOCK_MAX", "FRAME_STORED_MAX"),
    segment: ("SEAL_MAX", "SEGMENT_STORED_MAX"),
    head: ("HEAD_MAX",),
    chain: ("NEW_CHAIN_STEP",),
    ustar_file: ("MEMBERS_MAX",),
    manifests: ("MANIFEST_MAX",),
    returnmanifest: ("RETURN_MAX", "TOKEN_MAX"),
    receipts: ("RECEIPT_MAX",),
    rotations: ("ROTATION_MAX",),
}
SCRIPT = HERE.parents[1] / "scripts" / "audit.sh"
KEY = HERE / "keys" / "signer.pub.pem"


def test_the_limits_of_the_script_are_those_of_the_code() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    for module, names in LIMITS.items():
        for name in names:
            found = re.findall(rf"\b{name}=(\d+)", text)
            assert found == [str(getattr(module, name))], name
    assert f" DELIVERED_MAX={FRONTIER_MAX} " in text
    assert f" SHARD={SHARD} " in text


def _audit(key: Path, *paths: Path) -> tuple[int, list[str]]:
    done = subprocess.run([SCRIPT, key, *paths], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def _changed(said: dict[str, Any], where: str, value: object) -> dict[str, Any]:
    inner: Any = said
    *path, last = (int(step) if step.isdigit() else step for step in where.split("."))
    for step in path:
        inner = inner[step]
    inner[last] = value
    return said


def _are_good(key: Path, folder: Path) -> tuple[list[bool], list[bool]]:
    """What the script, and what ``bridge verify``, calls good of the bundles in ``folder``, by name."""
    paths = sorted(folder.iterdir())
    code, lines = _audit(key, *paths)
    ours = bridge("verify", *paths, "--key", key, "--json")
    assert code == ours.code == 4
    named = {re.split(r"[:\\\\!]", line)[0] for line in lines if line.startswith("BAD ")}
    bad = {each.removeprefix("BAD ") for each in named}
    return [str(path) not in bad for path in paths], [each["ok"] for each in ours.answer["items"]]


Odd = tuple[str, str, object]
ONE = [receipt()["lanes"][0]["refused"][0] | {"seq": 1}]
MANIFESTS: tuple[Odd, ...] = (
    ("a time that is none", "made_at", "2026-02-30T00:00:00.000Z"),
    ("a soft hyphen in the note", "note", "week\u00ad48"),
    ("a note of 501 characters", "note", "a" * 501),
    ("times other than those of the segments", "lanes.0.last_at", "2026-12-31T23:59:59.999Z"),
    ("a loss that no segment declares", "lanes.0.lost", [{"ranges": "1", "records": 7}]),
    ("a head below the segments", "lanes.0.head.seq", 1),
)
RECEIPTS: tuple[Odd, ...] = (
    ("a text with a control", "lanes.0.refused.0.text", "\u001b[2J"),
    ("a record refused twice", "lanes.0.refused", [receipt()["lanes"][0]["refused"][0]] * 2),
    ("missing numbers in another form", "lanes.0.missing", "4-3"),
    ("a refused record of another number than its fork", "lanes.0.forks.0.refused", ONE),
    ("a digest that is none", "lanes.0.spans.0.digest", "0"),
)  # fmt: skip


def test_what_a_manifest_must_not_say_is_bad_for_both(tmp_path: Path) -> None:
    (tmp_path / "000.agb").write_bytes(ustar(bundle_of(manifest())))
    for number, (_, where, value) in enumerate(MANIFESTS, 1):
        said = ustar(bundle_of(_changed(manifest(), where, value)))
        (tmp_path / f"{number:03}.agb").write_bytes(said)
    expected = [True] + [False] * len(MANIFESTS)
    assert _are_good(KEY, tmp_path) == (expected, expected)


def test_a_line_that_begins_with_a_nul_is_no_blank_one(tmp_path: Path, signer: SigningKey) -> None:
    data = frame(b"\0\n")
    (tmp_path / "a.ndjson.zst").write_bytes(signed(data, statement(data, b"\0\n")))
    assert _both(tmp_path, signer) == (0, 0)


def test_a_segment_of_another_lane_in_a_bundle_is_bad_for_both(tmp_path: Path) -> None:
    data = frame(LINES)
    said = statement(data, LINES, stream="langgraph")
    held = signed(data, said)
    whole = manifest()
    whole["members"][0] |= {
        "size": len(held),
        "digest": hashlib.sha256(compact(said)).hexdigest(),
    }
    members = bundle_of(whole)
    members[1] = (members[1][0], held)
    (tmp_path / "a.agb").write_bytes(ustar(members))
    assert _are_good(KEY, tmp_path) == ([False], [False])


def test_what_took_over_in_one_bundle_counts_in_no_other(tmp_path: Path) -> None:
    (tmp_path / "1.agb").write_bytes((HERE / "bundles" / "rotated.agb").read_bytes())
    (tmp_path / "2.agb").write_bytes(ustar(bundle_of(manifest(), signer=SUCCESSOR)))
    (tmp_path / "3.agb").write_bytes((HERE / "bundles" / "rotated-for-another.agb").read_bytes())
    assert _are_good(KEY, tmp_path) == ([True, False, False], [True, False, False])


def test_what_a_receipt_must_not_say_is_bad_for_both(tmp_path: Path) -> None:
    (tmp_path / "000.agr").write_bytes(ustar(answer_of(forked())))
    for number, (_, where, value) in enumerate(RECEIPTS, 1):
        told = ustar(answer_of(_changed(forked(), where, value)))
        (tmp_path / f"{number:03}.agr").write_bytes(told)
    expected = [True] + [False] * len(RECEIPTS)
    assert _are_good(HERE / "keys" / "stranger.pub.pem", tmp_path) == (expected, expected)


@pytest.fixture
def signer() -> SigningKey:
    return SigningKey(bytes(range(32)))


@pytest.fixture
def lane(tmp_path: Path, signer: SigningKey) -> Lane:
    for n in range(3):
        with Writer(tmp_path / "spool", "transactions", node="prod-1", signer=signer) as writer:
            writer.append([b'{"id":"%d"}' % n])
    return Lane(tmp_path / "spool", "prod-1", "transactions")


def _both(path: Path, signer: SigningKey) -> tuple[int, int]:
    """The exit code of the script, and that of our reader."""
    keys = {signer.public.id: signer.public}
    ours = [item for item in verify([path], lambda _: keys) if item.problem]
    return _audit(KEY, path)[0], 4 if ours else 0


def test_a_lane_whose_segments_were_all_taken_away_is_bad(lane: Lane, signer: SigningKey) -> None:
    with Writer(lane.spool, "logs", node="prod-1", signer=signer) as writer:
        writer.append([b'{"resourceLogs":[{}]}'])
    assert _both(lane.spool, signer) == (0, 0)
    for seq in (1, 2, 3):
        lane.segment(seq).unlink()
    assert _both(lane.spool, signer) == (4, 4)
    _note_delivered(lane, Range(1, 3))
    assert _both(lane.spool, signer) == (0, 0)
    assert _both(lane.folder, signer) == (0, 0)


def _note_delivered(lane: Lane, *ranges: Range, given_up: int = 0) -> None:
    found = read_head(lane)
    assert found is not None
    records = [RecordException(seq, 0, 0, "discarded", 0, "") for seq in range(1, given_up + 1)]
    write_frontier(FAST, lane, Frontier([ChainRanges(found.chain, ranges)], records))


def test_a_long_note_of_what_was_delivered_counts_as_a_short_one_does(
    lane: Lane, signer: SigningKey
) -> None:
    lane.segment(2).unlink()
    _note_delivered(lane, Range(1, 2), given_up=5_000)
    assert 106_064 < lane.delivered.stat().st_size < FRONTIER_MAX
    assert _both(lane.spool, signer) == (0, 0)


def test_below_the_first_number_of_a_new_chain_nothing_is_missing(
    lane: Lane, signer: SigningKey
) -> None:
    lane.head.unlink()
    heartbeat = Sealer(FAST, lane, signer, SYSTEM_CLOCK).heartbeat()
    lane.segment(heartbeat.seq).unlink()
    assert _both(lane.spool, signer) == (4, 4)
    _note_delivered(lane, Range(heartbeat.seq, heartbeat.seq))
    assert _both(lane.spool, signer) == (0, 0)


FOLLOWS: dict[str, object] = {"chain": CHAIN, "seq": 1, "digest": "", "why": "moved"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"seq": 0}, 4),
        ({"digest": "1" * 64}, 4),
        ({"digest": ZEROS}, 0),
        ({"chain": "1" * 32}, 4),
        ({"chain": "0" * 32}, 0),
        ({"chain": "0" * 32, "digest": "1" * 64}, 4),
        ({"seq": 3, "digest": "1" * 64}, 0),
    ],
)
def test_a_new_chain_follows_the_last_segment_that_is_here_or_a_later_one(
    tmp_path: Path, signer: SigningKey, changes: dict[str, object], code: int
) -> None:
    data = frame(LINES)
    first = statement(data, LINES)
    digest = hashlib.sha256(compact(first)).hexdigest()
    follows = FOLLOWS | {"digest": digest} | changes
    next_one = statement(data, LINES, seq=10**6, chain="ab" * 16, follows=follows)
    (tmp_path / "a.ndjson.zst").write_bytes(signed(data, first))
    (tmp_path / "b.ndjson.zst").write_bytes(signed(data, next_one))
    assert _both(tmp_path, signer) == (code, code)


def test_above_the_head_there_is_nothing_but_the_next_number(
    lane: Lane, signer: SigningKey
) -> None:
    whole = lane.head.read_bytes()
    for n in range(2):
        with Writer(lane.spool, "transactions", node="prod-1", signer=signer) as writer:
            writer.append([b'{"id":"%d"}' % (4 + n)])
    _note_delivered(lane, Range(4, 4))
    lane.head.write_bytes(whole)
    assert _both(lane.spool, signer) == (4, 4)
    lane.segment(5).rename(lane.segment(5).with_suffix(".away"))
    assert _both(lane.spool, signer) == (0, 0)
    lane.segment(5).with_suffix(".away").rename(lane.segment(5))
    lane.segment(4).unlink()
    assert _both(lane.spool, signer) == (4, 4)


def test_a_head_whose_chain_begins_above_it_is_none(lane: Lane, signer: SigningKey) -> None:
    lane.head.write_bytes(lane.head.read_bytes().replace(b'"first":1', b'"first":4'))
    assert _both(lane.spool, signer) == (4, 4)
