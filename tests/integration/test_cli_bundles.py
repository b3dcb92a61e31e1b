"""Bundles at the command line: what a reviewer reads, what a medium is told of, forks."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.transfer.receipt import REFUSED_MAX
from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import Ledger, RecordException, State
from spool.ranges import Range
from tests.golden import generate
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for, told, trust
from tests.support.commands import bridge

pytestmark = pytest.mark.enable_socket
GOLDEN = Path(generate.__file__).parent
SIGNER = GOLDEN / "keys" / "signer.pub.pem"
LINES = [
    line
    for row in json.loads((GOLDEN / "good.json").read_bytes())
    if any(name in row["file"] for name in ("transactions-000000000001-age", "000002-size"))
    for line in row["lines"]
]  # fmt: skip


def test_the_records_of_a_bundle_are_what_would_leave_in_json_and_as_bytes() -> None:
    path = GOLDEN / "bundles" / "good.agb"
    told = bridge("inspect", path, "--key", SIGNER, "--records", "--json")
    assert (told.code, told.answer["valid"], told.answer["lines"]) == (0, True, LINES)
    told = bridge("inspect", path, "--key", SIGNER, "--records")
    assert told.out == b"".join(line.encode() + b"\n" for line in LINES)


def test_the_first_records_of_a_bundle_alone() -> None:
    path = GOLDEN / "bundles" / "good.agb"
    told = bridge("inspect", path, "--key", SIGNER, "--records", "3", "--json")
    assert told.answer["lines"] == LINES[:3]


def test_no_record_of_a_bundle_that_is_bad_is_shown() -> None:
    path = GOLDEN / "bundles" / "changed-after-signing.agb"
    told = bridge("inspect", path, "--key", SIGNER, "--records", "--json")
    assert (told.code, told.answer.get("lines", [])) == (4, [])


def test_a_reviewer_is_told_what_went_another_way() -> None:
    path = GOLDEN / "bundles" / "elsewhere.agb"
    told = bridge("inspect", path, "--key", SIGNER, "--json").answer["elsewhere"]
    assert [(each["stream"], each["first"], each["last"]) for each in told] == [
        ("transactions", 3, 4), ("transactions", 7, 8),
    ]  # fmt: skip
    text = bridge("inspect", path, "--key", SIGNER).out.decode()
    assert "of transactions the beacon has the numbers 3-4,7-8 already" in text


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as started:
        yield started


@pytest.fixture
def relay(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(
        tmp_path, beacon.url, name="relay-1", more="licenses: {inside: [license_key]}\n"
    ) as node:
        yield node


@pytest.fixture
def inside(tmp_path: Path, relay: Node) -> Iterator[Node]:
    with node_for(
        tmp_path, "http://127.0.0.1:9", name="inside", more="egress: {mode: offline}\n"
    ) as node:
        for here, there, role in ((node, relay, "relay"), (relay, node, "node")):
            trust(here, there, role)
        yield node


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def append(node: Node, *ids: str) -> None:
    lines = "".join(f'{{"id":"{each}"}}\n' for each in ids).encode()
    assert node.bridge("append", "transactions", stdin=lines).returncode == 0


@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="strace is not here")
def test_a_medium_that_cannot_be_read_past_the_page_cache_is_told(
    inside: Node, stick: Path
) -> None:
    append(inside, "a")
    path = stick / "one.agb"
    # Of the openings of the file the second is the one that asks for direct reads.
    done = subprocess.run(
        ["strace", "-f", "-o", stick / "strace.log", "-P", f"{path}.part", "-e", "trace=openat",
         "-e", "inject=openat:error=EINVAL:when=2", sys.executable, "-m", "bridge.cli.main",
         "--config", inside.config, "export", "--plain", "--to", path],
        check=False, capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done
    assert "O_DIRECT" in (stick / "strace.log").read_text()
    assert "It could not be read past the page cache; verify it on another machine." in done.stdout
    (bundle,) = told(inside, "export", "--again", "--to", str(stick))["bundles"]
    assert bundle["reread"]


def test_a_fork_goes_all_the_way_and_its_node_goes_on_in_a_new_chain(
    inside: Node, relay: Node, stick: Path, beacon: RunningBeacon
) -> None:
    """A disk that was cloned: both machines gave out number 1."""
    append(inside, "ours")
    (ours,) = told(inside, "export", "--to", str(stick))["bundles"]
    shutil.rmtree(inside.spool)
    inside.spool.mkdir(mode=0o700)
    append(inside, "theirs")
    theirs = stick / "theirs.agb.age"
    told(inside, "export", "--to", str(theirs))
    told(relay, "import", ours["path"])
    (item,) = told(relay, "import", str(theirs), code=3)["items"]
    assert [each["seq"] for each in item["forks"]] == [1]
    assert relay.bridge("run", "--once").returncode == 0
    assert {record.id for record in beacon.records("transactions")} == {"ours", "theirs"}
    assert beacon.received()["transactions"]["records"] == 2
    once_more = ("replay", "--state", "delivered", "--segments", "inside/transactions/1", "--yes")
    assert told(relay, *once_more, "--dry-run")["selected"] == {"segments": 2, "records": 2}
    assert told(relay, *once_more)["sent"]["records"] == 2
    assert beacon.received()["transactions"]["records"] == 4
    assert beacon.received()["transactions"]["distinct"] == 2
    (back,) = told(relay, "export", "--for", "inside", "--to", str(stick))["bundles"]
    told(inside, "import", back["path"], code=3)
    append(inside, "later")
    again = stick / "again.agb.age"
    told(inside, "export", "--to", str(again))
    (item,) = told(relay, "import", str(again))["items"]
    assert item["gaps"] == []
    lanes = [each for each in told(relay, "status", code=3)["lanes"] if each["node"] == "inside"]
    assert max(each["head"] for each in lanes) >= 1_000_000
    first = min(relay.spool.glob("inside/transactions/sealed/*/0000010*.ndjson.zst"))
    said = told(relay, "inspect", str(first))
    assert said["follows"]["why"] == "fork"
    assert relay.bridge("run", "--once").returncode == 0
    assert "later" in {record.id for record in beacon.records("transactions")}


def test_a_node_that_begins_a_new_chain_is_followed_and_asked_for_the_end_of_the_old_one(
    inside: Node, relay: Node, stick: Path, beacon: RunningBeacon
) -> None:
    """Its head was lost; one stick with what it had packed last was, too."""
    append(inside, "first")
    (bundle,) = told(inside, "export", "--to", str(stick))["bundles"]
    told(relay, "import", bundle["path"])
    append(inside, "second")
    told(inside, "export", "--to", str(stick / "lost.agb.age"))
    (inside.spool / "inside" / "transactions" / "head").unlink()
    append(inside, "third")
    (bundle,) = told(inside, "export", "--to", str(stick))["bundles"]
    (begun, *_) = bundle["lanes"]
    assert begun["ranges"].startswith("1000000")
    (item,) = told(relay, "import", bundle["path"], code=3)["items"]
    assert (item["forks"], item["unlinked"]) == ([], [])
    (gap,) = item["gaps"]
    assert gap["ranges"] == "2"

    (back,) = told(relay, "export", "--for", "inside", "--to", str(stick))["bundles"]
    (item,) = told(inside, "import", back["path"], code=3)["items"]
    assert item["receipts"]["missing"] == 1
    resent = told(inside, "export", "--resend", back["path"], "--to", str(stick))["bundles"]
    (item,) = told(relay, "import", resent[0]["path"])["items"]
    assert (item["segments"]["new"], item["gaps"]) == (1, [])
    assert relay.bridge("run", "--once").returncode == 0
    assert {record.id for record in beacon.records("transactions")} == {"first", "second", "third"}
    (back,) = told(relay, "export", "--for", "inside", "--to", str(stick))["bundles"]
    told(inside, "import", back["path"])
    (lane,) = (
        each
        for each in told(inside, "status", code=1)["lanes"]  # no daemon runs
        if each["stream"] == "transactions"
    )
    assert {state: count for state, count in lane["records"].items() if count} == {"delivered": 3}


def test_a_receipt_that_leaves_a_segment_out_for_want_of_room_says_so(
    inside: Node, relay: Node, stick: Path
) -> None:
    """More records of one segment were refused than a receipt holds; one before it was delivered."""
    append(inside, "first")
    told(inside, "export", "--to", str(stick))
    append(inside, *map(str, range(REFUSED_MAX + 1)))
    told(inside, "export", "--to", str(stick))
    told(relay, "import", *sorted(stick.glob("*.agb.age")))
    lane = Lane(relay.spool, "inside", "transactions")
    with Ledger.open(relay.spool, clock=SYSTEM_CLOCK) as ledger:
        (span,) = ledger.spans(lane)
        refused = [RecordException(2, n, 1, "refused", 422, "no") for n in range(REFUSED_MAX + 1)]
        ledger.confirm(
            lane, Range(1, 2), State.DELIVERED, before=span.before, after=span.after,
            exceptions=refused,
        )  # fmt: skip
    done = relay.bridge("export", "--for", "inside", "--to", str(stick))
    assert done.returncode == 0, done
    assert "1 segment is left out for want of room" in done.stdout
    assert "None tells of a segment with more than 20,000 refused records" in done.stdout
    said = told(relay, "export", "--for", "inside", "--to", str(stick))
    assert said["left_out"] == 1
    (item,) = told(inside, "import", said["bundles"][0]["path"])["items"]
    assert item["receipts"]["delivered"] == 1
