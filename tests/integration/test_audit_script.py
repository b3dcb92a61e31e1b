"""``scripts/audit.sh`` verifies with stock tools what our reader verifies, and plain tools read it.

The script runs elsewhere, with an empty environment and a PATH of just the tools that it may use:
nothing of ours is importable, there is not even a Python.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from keys.ed25519 import SigningKey
from keys.keyfile import create_pair
from keys.ownkey import read_own_key, rotate
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.frontier import Frontier, write_frontier
from spool.head import read_head
from spool.lane import Lane
from spool.ranges import ChainRanges, Range
from spool.sealing import Sealer
from spool.statement import Lost
from spool.verification import verify
from spool.writer import Writer
from tests.golden import generate
from tests.support.bundles import Machine
from tests.support.spools import FAST

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "audit.sh"
GOLDEN = Path(generate.__file__).parent
KEY = GOLDEN / "keys" / "signer.pub.pem"
GOOD: list[dict[str, Any]] = json.loads((GOLDEN / "good.json").read_bytes())
BAD: list[dict[str, str]] = json.loads((GOLDEN / "bad.json").read_bytes())
UNSEEN = {"bundle.recipient", "key.revoked", "rotation.fork", "age.header", "age.failed"}
"""What depends on who reads: the script knows one key, and opens nothing."""
BUNDLES: list[dict[str, str]] = [
    row for row in json.loads((GOLDEN / "bundles.json").read_bytes()) if row["error"] not in UNSEEN
]
RELAY_KEY = GOLDEN / "keys" / "stranger.pub.pem"
COREUTILS = (
    "base64", "cat", "cp", "env", "head", "mkdir", "mktemp", "od", "rm", "sha256sum", "sort", "stat",
)  # fmt: skip
TOOLS = ("bash", "cmp", "jq", "openssl", "zstd", "tail", "tr", "wc", *COREUTILS)

REASONS = {
    "chain.broken": ("does not link", "a new chain begins"),
    "document.field": ("not what it may be", "version", "one signature", "one form", "no Ed25519"),
    "document.form": ("not in the one form", "no seal of ours"),
    "document.unknown_key": ("not in the one form",),
    "envelope.base64": ("no Ed25519 signature",),
    "envelope.form": ("not in the one form",),
    "envelope.signatures": ("one signature", "no Ed25519 signature"),
    "envelope.type": ("signed as something else",),
    "frame.block": ("has a block that zstd does not allow",),
    "frame.content": ("do not decompress to what they state",),
    "frame.dictionary": ("asks for a dictionary",),
    "frame.empty": ("holds nothing",),
    "frame.header": ("not for this zstd",),
    "frame.lines": ("whole, non-empty lines", "as many records"),
    "frame.magic": ("does not begin like", "cut short"),
    "frame.no_checksum": ("has no checksum",),
    "frame.no_size": ("does not state how much",),
    "frame.too_large": ("claims to hold more",),
    "frame.truncated": ("is cut short",),
    "frame.window": ("too large a window",),
    "json.depth": ("version is unknown",),
    "json.duplicate_key": ("not in the one form",),
    "json.form": ("not in the one form", "no JSON"),
    "json.number": ("not in the one form", "not what it may be"),
    "json.text": ("not in the one form",),
    "json.too_large": ("payload is not in the one form",),
    "json.trailing": ("is no JSON",),
    "key.untrusted": ("is signed by key",),
    "ranges.form": ("what it lost",),
    "segment.blank": ("does not end with a seal",),
    "segment.count": ("as were sealed", "than were sealed"),
    "segment.digest": ("not the ones that were sealed",),
    "segment.no_seal": ("does not end with a seal",),
    "segment.place": ("place", "another lane"),
    "segment.size": ("another size",),
    "signature.bad": ("not made by this key",),
    "statement.sense": (
        "together",
        "more records than bytes",
        "cannot",
        "no node",
        "contradicts",
        "a field",
    ),
}
"""What the script says of a file that our reader refuses with this error."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the tools that the script may use."""
    folder = tmp_path_factory.mktemp("bin")
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, f"this machine has no {name}"
        (folder / name).symlink_to(found)
    return folder


class Audit:
    """One run of the script."""

    def __init__(self, tools: Path, *arguments: Path | str, cwd: Path) -> None:
        done = subprocess.run(
            ["env", "-i", f"PATH={tools}", SCRIPT, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
        )
        self.code = done.returncode
        self.errors = done.stderr
        self.lines = done.stdout.splitlines()

    def bad(self) -> list[str]:
        return [line for line in self.lines if line.startswith("BAD ")]


@pytest.fixture(scope="module")
def of_bad(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """One run over every bad file."""
    cwd = tmp_path_factory.mktemp("elsewhere")
    return Audit(tools, KEY, *[GOLDEN / row["file"] for row in BAD], cwd=cwd)


@pytest.fixture(scope="module")
def signer() -> SigningKey:
    return SigningKey(bytes(range(32)))


@pytest.fixture
def lane(tmp_path: Path, signer: SigningKey) -> Lane:
    """A lane of four segments, as our writer leaves it."""
    for n in range(4):
        with Writer(tmp_path / "spool", "transactions", node="prod-1", signer=signer) as writer:
            writer.append([b'{"id":"%d-%d","x":"%s"}' % (n, m, b"y" * 200) for m in range(n + 1)])
    return Lane(tmp_path / "spool", "prod-1", "transactions")


def test_every_good_file_is_good(tools: Path, tmp_path: Path) -> None:
    audit = Audit(tools, KEY, *[GOLDEN / row["file"] for row in GOOD], cwd=tmp_path)
    assert (audit.code, audit.errors, audit.bad()) == (0, "", [])
    assert len(audit.lines) == len(GOOD)


def test_the_folder_of_good_files_is_good(tools: Path, tmp_path: Path) -> None:
    audit = Audit(tools, KEY, GOLDEN / "good", cwd=tmp_path)
    assert (audit.code, audit.bad(), len(audit.lines)) == (0, [], len(GOOD))


def test_the_run_over_all_bad_files_fails_and_complains_of_nothing_else(of_bad: Audit) -> None:
    assert (of_bad.code, of_bad.errors) == (4, "")


@pytest.mark.parametrize("row", BAD, ids=lambda row: Path(row["file"]).name)
def test_every_bad_file_is_bad_for_the_same_reason(of_bad: Audit, row: dict[str, str]) -> None:
    found = [line for line in of_bad.bad() if line.startswith(f"BAD {GOLDEN / row['file']}")]
    assert len(found) == 1, found
    assert any(reason in found[0] for reason in REASONS[row["error"]]), found


def test_one_bad_file_alone_exits_with_4(tools: Path, tmp_path: Path) -> None:
    path = GOLDEN / "bad" / "trailing-byte.ndjson.zst"
    assert Audit(tools, KEY, path, cwd=tmp_path).code == 4


def test_a_file_by_its_bare_name_is_verified(tools: Path) -> None:
    name = Path(GOOD[0]["file"]).name
    audit = Audit(tools, KEY, name, cwd=GOLDEN / "good")
    assert (audit.code, audit.lines) == (0, [f"ok {name}: prod-1/transactions 1, 2 records"])


def test_a_spool_of_our_writer_is_good_with_its_head(
    tools: Path, lane: Lane, signer: SigningKey
) -> None:
    key = lane.spool.parent / "k.pem"
    key.write_bytes(signer.public.pem())
    audit = Audit(tools, key, lane.spool, cwd=lane.spool)
    assert (audit.code, audit.errors) == (0, "")
    assert audit.lines[-1] == f"ok {lane.head}: segment 4"
    assert len(audit.lines) == 5


def test_open_files_and_quarantine_are_passed_over(tools: Path, lane: Lane) -> None:
    (lane.spool / "quarantine").mkdir(exist_ok=True)
    (lane.spool / "quarantine" / "x.ndjson.zst").write_bytes(b"junk")
    lane.open_file("20261123T090000000Z-000000000000").write_bytes(b"not sealed")
    assert Audit(tools, KEY, lane.spool, cwd=lane.spool).code == 0


@pytest.mark.parametrize("named", ["spool", "lane"])
def test_a_segment_that_is_missing_is_bad_unless_a_loss_record_or_the_note_names_it(
    tools: Path, lane: Lane, signer: SigningKey, named: str
) -> None:
    path = lane.spool if named == "spool" else lane.folder
    lane.segment(2).unlink()
    both = _both(tools, path, signer)
    assert both == (4, 4, f"BAD {lane.folder}: 2 are not here, and no loss record names them")
    # Its files alone say nothing of what else there should be.
    alone = _both(tools, lane.segment(1).parent, signer)
    assert alone == (0, 0, f"gap {lane.folder}: 2 are not here")
    head = read_head(lane)
    assert head is not None
    write_frontier(FAST, lane, Frontier([ChainRanges(head.chain, (Range(1, 2),))]))
    note = "2 are not here; delivered, by this machine's own note"
    assert _both(tools, path, signer) == (0, 0, f"gap {lane.folder}: {note}")
    lane.delivered.unlink()
    Sealer(FAST, lane, signer, SYSTEM_CLOCK).declare_lost(Lost("2", 1, 99, "missing"))
    assert _both(tools, path, signer) == (0, 0, f"gap {lane.folder}: 2 are not here; declared lost")


def test_a_number_whose_file_is_bad_is_no_gap_beside(
    tools: Path, lane: Lane, signer: SigningKey
) -> None:
    lane.segment(2).write_bytes(b"junk")
    lane.segment(3).unlink()
    code, verified, last = _both(tools, lane.spool, signer)
    assert (code, verified) == (4, 4)
    assert last == f"BAD {lane.folder}: 3 are not here, and no loss record names them"


def test_the_end_of_a_chain_that_another_follows_is_missed(
    tools: Path, lane: Lane, signer: SigningKey
) -> None:
    lane.head.unlink()
    Sealer(FAST, lane, signer, SYSTEM_CLOCK).heartbeat()  # begins a new chain, which follows 4
    assert _both(tools, lane.spool, signer)[:2] == (0, 0)
    lane.segment(4).unlink()
    code, verified, last = _both(tools, lane.spool, signer)
    assert (code, verified) == (4, 4)
    assert last == f"BAD {lane.folder}: 4 are not here, and no loss record names them"


def _both(tools: Path, path: Path, signer: SigningKey) -> tuple[int, int, str]:
    """The exit code of the script, that of ``bridge verify``, and the script's last line."""
    audit = Audit(tools, KEY, path, cwd=path)
    keys = {signer.public.id: signer.public}
    ours = [item for item in verify([path], lambda _: keys) if item.problem]
    return audit.code, 4 if ours else 0, audit.lines[-1]


def test_a_tail_cut_off_is_told_as_a_gap_below_the_head(tools: Path, lane: Lane) -> None:
    for seq in (3, 4):
        lane.segment(seq).unlink()
    audit = Audit(tools, KEY, lane.spool, cwd=lane.spool)
    assert audit.code == 4
    assert audit.lines[-1] == f"BAD {lane.folder}: 3-4 are not here, and no loss record names them"


def test_a_segment_exchanged_for_another_breaks_the_chain(tools: Path, lane: Lane) -> None:
    other = GOLDEN / GOOD[1]["file"]
    shutil.copy(other, lane.segment(2))
    audit = Audit(tools, KEY, lane.spool, cwd=lane.spool)
    assert audit.code == 4
    assert len(audit.bad()) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"digest": "1" * 64}, "does not agree"),
        ({"records": 9}, "does not agree"),
        ({"chain": "1" * 32}, "does not agree"),
        ({"seq": 1}, "more than one segment lies above"),
        ({"more": 1}, "one form"),
    ],
)
def test_a_head_that_disagrees_is_bad(
    tools: Path, lane: Lane, changes: dict[str, object], reason: str
) -> None:
    lane.head.write_bytes(orjson.dumps(orjson.loads(lane.head.read_bytes()) | changes))
    audit = Audit(tools, KEY, lane.spool, cwd=lane.spool)
    assert audit.code == 4
    assert [reason in line for line in audit.bad()] == [True]


def test_one_segment_above_the_head_is_what_a_crash_leaves(tools: Path, lane: Lane) -> None:
    whole = orjson.loads(lane.head.read_bytes())
    third = hashlib.sha256(_payload(lane.segment(3))).hexdigest()
    before = orjson.loads(_payload(lane.segment(4)))["before"]
    lane.head.write_bytes(orjson.dumps(whole | {"seq": 3, "digest": third} | before))
    audit = Audit(tools, KEY, lane.spool, cwd=lane.spool)
    assert (audit.code, audit.lines[-1]) == (0, f"ok {lane.head}: segment 3")


def test_hostile_names_are_neither_run_nor_followed(tools: Path, tmp_path: Path) -> None:
    good = GOLDEN / GOOD[0]["file"]
    folder = tmp_path / "a$(touch pwned)[$(touch pwned)]`touch pwned`\n;|*"
    folder.mkdir()
    shutil.copy(good, folder / "-rf$(touch pwned) x[$(touch pwned)].ndjson.zst")
    (folder / "link.ndjson.zst").symlink_to(good)
    os.mkfifo(folder / "fifo.ndjson.zst")
    audit = Audit(tools, KEY, folder, cwd=tmp_path)
    assert audit.code == 4
    assert [line.rpartition(": ")[2] for line in audit.lines] == [
        "prod-1/transactions 1, 2 records",
        "it is no regular file, and was not read",
        "it is no regular file, and was not read",
    ]
    assert not list(tmp_path.rglob("pwned"))


def test_another_key_is_no_key_for_it(tools: Path, tmp_path: Path) -> None:
    stranger = GOLDEN / "keys" / "stranger.pub.pem"
    audit = Audit(tools, stranger, GOLDEN / GOOD[0]["file"], cwd=tmp_path)
    assert audit.code == 4
    assert "is signed by key" in audit.lines[0]


def test_what_earlier_keys_of_the_machine_sealed_is_good_where_its_rotations_lie_beside_the_key(
    tools: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    create_pair(keys)
    lane = Lane(tmp_path / "spool", "n", "logs")
    begin_lane(OS_DISK, lane)
    for _ in range(3):
        rotate(keys, "n", "2026-11-24T00:00:00.000Z")
        signer = read_own_key(keys)
        with Writer(lane.spool, "logs", node="n", signer=signer, disk=FAST) as writer:
            writer.append([b'{"resourceLogs":[{"a":1}]}'])
    audit = Audit(tools, keys / "node.pub.pem", lane.spool, cwd=tmp_path)
    assert (audit.code, audit.bad()) == (0, []), audit.lines
    assert Audit(tools, "node.pub.pem", lane.spool, cwd=keys).code == 0
    alone = tmp_path / "alone.pub.pem"
    shutil.copy(keys / "node.pub.pem", alone)
    assert len(Audit(tools, alone, lane.spool, cwd=tmp_path).bad()) == 2
    second = keys / "rotations" / "000002.dsse.json"
    good = second.read_bytes()
    second.write_bytes(good.replace(b'"sig":"', b'"sig":"A', 1))
    audit = Audit(tools, keys / "node.pub.pem", lane.spool, cwd=tmp_path)
    assert (audit.code, audit.lines) == (2, [])
    assert "statement 2 in the folder rotations" in audit.errors
    stranger = tmp_path / "stranger"
    (stranger / "rotations").mkdir(parents=True)
    create_pair(stranger)
    shutil.copytree(keys / "rotations", stranger / "rotations", dirs_exist_ok=True)
    second = stranger / "rotations" / "000002.dsse.json"
    second.write_bytes(good)
    audit = Audit(tools, stranger / "node.pub.pem", lane.spool, cwd=tmp_path)
    assert len(audit.bad()) == 3


@pytest.mark.parametrize("arguments", [[], [KEY], [SCRIPT, GOLDEN], [KEY, "no-such-file"]])
def test_wrong_usage_exits_with_2(tools: Path, tmp_path: Path, arguments: list[Path]) -> None:
    assert Audit(tools, *arguments, cwd=tmp_path).code == 2


def test_a_folder_without_segments_is_not_good(tools: Path, tmp_path: Path) -> None:
    audit = Audit(tools, KEY, tmp_path, cwd=tmp_path)
    assert (audit.code, audit.lines) == (4, [f"BAD {tmp_path}: there is no segment in it"])


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_plain_tools_read_a_good_file(row: dict[str, Any], tmp_path: Path) -> None:
    path = GOLDEN / row["file"]
    subprocess.run(["zstd", "-tq", path], check=True, capture_output=True)
    lines = subprocess.run(["zstdcat", path], check=True, capture_output=True).stdout
    assert lines.decode().splitlines() == row["lines"]
    objects = subprocess.run(["jq", "-c", "."], input=lines, check=True, capture_output=True)
    assert len(objects.stdout.splitlines()) == row["statement"]["records"]
    said = row["statement"]
    data = tmp_path / "data"
    data.write_bytes(path.read_bytes()[: said["size"]])
    hashed = subprocess.run(["sha256sum", data], check=True, capture_output=True).stdout
    assert hashed.split()[0].decode() == said["sha256"]


def test_openssl_verifies_a_seal_and_names_its_key(tmp_path: Path) -> None:
    path = GOLDEN / GOOD[0]["file"]
    payload = _payload(path)
    envelope = _envelope(path)
    kind = envelope["payloadType"].encode()
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    signature = envelope["signatures"][0]
    decoded = subprocess.run(
        ["base64", "-d"], input=signature["sig"].encode(), check=True, capture_output=True
    )
    (tmp_path / "sig").write_bytes(decoded.stdout)
    subprocess.run(
        f"openssl pkeyutl -verify -pubin -inkey {KEY} -rawin -in pae -sigfile sig".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", KEY, "-outform", "DER"],
        check=True,
        capture_output=True,
    )
    assert hashlib.sha256(der.stdout).hexdigest() == signature["keyid"]


def _envelope(path: Path) -> Any:  # noqa: ANN401 - JSON
    data = path.read_bytes()
    total = int.from_bytes(data[-4:], "little")
    return orjson.loads(data[-total + 8 : -4])


def _payload(path: Path) -> bytes:
    encoded: str = _envelope(path)["payload"]
    return base64.b64decode(encoded)


def key_of(row: dict[str, str]) -> Path:
    """Whose word counts: the node's for a bundle, the relay's for what comes back."""
    return RELAY_KEY if row["file"].endswith(".agr") else KEY


@pytest.mark.parametrize("row", BUNDLES, ids=lambda row: Path(row["file"]).name)
def test_a_bundle_is_good_or_bad_as_it_is_for_our_reader(
    tools: Path, tmp_path: Path, row: dict[str, str]
) -> None:
    audit = Audit(tools, key_of(row), GOLDEN / row["file"], cwd=tmp_path)
    assert audit.errors == ""
    assert audit.code == (4 if row["error"] else 0)
    assert bool(audit.bad()) == bool(row["error"])
    if row["file"].endswith("good.agb"):
        assert len(audit.lines) == 3


def test_a_segment_that_was_exchanged_in_a_bundle_is_told_by_its_place(
    tools: Path, tmp_path: Path
) -> None:
    data = bytearray((GOLDEN / "bundles" / "good.agb").read_bytes())
    at = data.index(b"\x28\xb5\x2f\xfd")
    data[at + 20] ^= 1
    path = tmp_path / "a.agb"
    path.write_bytes(data)
    audit = Audit(tools, KEY, path, cwd=tmp_path)
    assert audit.code == 4
    (bad,) = audit.bad()
    assert "000000000001.ndjson.zst" in bad
    assert "its bytes are not the ones that were sealed" in bad


def test_an_encrypted_bundle_is_not_called_good(tools: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.agb.age"
    path.write_bytes(b"age-encryption.org/v1\n-> X25519 x\n")
    audit = Audit(tools, KEY, path, cwd=tmp_path)
    assert (audit.code, audit.errors) == (4, "")
    assert "age -d" in audit.lines[0]


def test_a_bundle_of_our_writer_is_good_also_in_a_folder(tools: Path, tmp_path: Path) -> None:
    inside, relay = Machine(tmp_path / "inside", "inside", 1), Machine(tmp_path / "r", "relay-1", 2)
    for n in range(3):
        inside.append(n)
    made = inside.export(relay, tmp_path, note='a "note" of ünicode \\ and more')
    key = tmp_path / "key.pem"
    key.write_bytes(inside.key.public.pem())
    audit = Audit(tools, key, made.path, cwd=tmp_path)
    assert (audit.code, audit.bad(), len(audit.lines)) == (0, [], 4)
    relay.trusts(inside, "node")
    relay.take(made.path)
    folder = tmp_path / "back"
    folder.mkdir()
    relay.give_back(inside, folder)
    key.write_bytes(relay.key.public.pem())
    audit = Audit(tools, key, folder, cwd=tmp_path)
    assert (audit.code, audit.bad(), len(audit.lines)) == (0, [], 1)
