"""``bridge audit``: everything that left, and whether one record or one segment did."""

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.keyfile import read_signing_key
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger_kept import kept_ledgers
from spool.sealing import Sealer
from spool.segment import Segment
from spool.writer import Writer
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.bundles import Machine

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url) as made:
        yield made


def append(node: Node, *ids: str, sealed: bool = True) -> None:
    signer = read_signing_key(node.folder / "keys" / "node.pem") if sealed else None
    with Writer(node.spool, "transactions", node=node.name, signer=signer) as writer:
        writer.append([b'{"id":"%b"}' % each.encode() for each in ids])


def segment_with(node: Node, wanted: bytes) -> Path:
    """The sealed file whose records hold ``wanted``."""
    told = node.bridge("audit", "--record", wanted.decode(), "--json")
    (place,) = json.loads(told.stdout)["places"]
    return (
        node.spool
        / node.name
        / "transactions"
        / "sealed"
        / "00000000"
        / (f"{place['seq']:012d}.ndjson.zst")
    )


def test_everything_that_left_is_listed_with_its_digests_and_the_answer(node: Node) -> None:
    append(node, "a", "b")
    append(node, "c")
    assert node.bridge("run", "--once").returncode == 0
    told = node.bridge("audit", "--json")
    assert told.returncode == 0
    said = json.loads(told.stdout)
    assert said["schema"] == "bridge.audit/1"
    rows = [row for row in said["requests"] if row["stream"] == "transactions" and row["records"]]
    assert sum(row["records"] for row in rows) == 3
    for row in rows:
        assert (row["status"], row["verdict"]) == (200, "delivered")
        assert row["path"] == "/v1/beacon/ingest-traces"
        for each in row["segments"]:
            with Segment.open(
                node.spool / "n/transactions/sealed/00000000" / f"{each['seq']:012d}.ndjson.zst"
            ) as segment:
                assert segment.digest == each["digest"]
    assert said["unanswered"] == []
    text = node.bridge("audit").stdout
    assert re.search(
        r"Z  200 delivered: n/transactions [0-9-]+, 3 records to http://[0-9.:]+/v1/beacon/ingest",
        text,
    )
    assert rows[0]["segments"][0]["digest"] in text


def test_one_is_no_plural_and_a_heartbeat_that_was_not_sent_is_no_request(node: Node) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    told = node.bridge("audit")
    assert ", 1 record to http://" in told.stdout
    assert "  not sent: n/langgraph 1, 0 records" in told.stdout
    assert "\n1 request, 0 bundles; the beacon is " in "\n" + told.stderr
    assert " 1 record\n" in node.bridge("verify", str(node.spool)).stdout


def test_since_leaves_out_what_is_older(node: Node) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    assert json.loads(node.bridge("audit", "--since", "1h", "--json").stdout)["requests"]
    told = node.bridge("audit", "--since", "2126-01-01", "--json")
    assert json.loads(told.stdout)["requests"] == []
    assert node.bridge("audit", "--since", "whenever").returncode == 2


def test_a_record_left_did_not_leave_or_is_not_held(node: Node) -> None:
    append(node, "first", "second")
    assert node.bridge("run", "--once").returncode == 0
    append(node, "third")
    append(node, "fourth", sealed=False)

    said = json.loads(node.bridge("audit", "--record", "second", "--json").stdout)
    assert said["answer"] == "left"
    (place,) = said["places"]
    assert (place["line"], place["state"]) == (1, "delivered")
    assert [row["status"] for row in place["requests"]] == [200]
    assert said["unread"] == []

    said = json.loads(node.bridge("audit", "--record", "third", "--json").stdout)
    assert (said["answer"], said["places"][0]["requests"]) == ("not_left", [])
    said = json.loads(node.bridge("audit", "--record", "fourth", "--json").stdout)
    assert (said["answer"], said["places"][0]["seq"]) == ("not_left", None)

    # A part of an id is none.
    said = json.loads(node.bridge("audit", "--record", "fir", "--json").stdout)
    assert (said["answer"], said["places"]) == ("not_held", [])
    assert "no longer held" in node.bridge("audit", "--record", "nobody").stdout
    shown = node.bridge("audit", "--record", "first").stdout
    assert re.match(r"left: n/transactions segment \d+, line 0 \(counted from 0\)\n", shown), shown


def test_a_refused_record_is_not_said_to_be_delivered_with_its_segment(
    node: Node, beacon: RunningBeacon
) -> None:
    beacon.set_faults({"path": "/v1/beacon/ingest-traces", "times": 2, "status": 400})
    append(node, "bad", "good")
    assert node.bridge("run", "--once").returncode == 3
    for record, state in (("bad", "quarantined"), ("good", "delivered")):
        told = node.bridge("audit", "--record", record, "--json")
        (place,) = json.loads(told.stdout)["places"]
        assert (place["answer"], place["state"]) == ("left", state)
    give_up = ("--stream", "transactions", "--discard", "--note", "the vendor knows")
    assert node.bridge("replay", "--state", "quarantined", *give_up).returncode == 0
    shown = node.bridge("audit", "--record", "bad").stdout
    assert "    lost by the ledger" in shown
    assert re.search(
        r"    line 0 \(counted from 0\) refused .*: 400, and given up: the vendor knows\n", shown
    )


def test_every_refused_record_is_listed_with_the_answer_and_then_with_the_note_of_who_gave_it_up(
    node: Node, beacon: RunningBeacon
) -> None:
    fault = {"path": "/v1/beacon/ingest-traces", "times": 2, "status": 400, "body": "no such id"}
    beacon.set_faults(fault)
    append(node, "bad", "good")
    assert node.bridge("run", "--once").returncode == 3
    (refused,) = json.loads(node.bridge("audit", "--json").stdout)["refused"]
    place = {"node": "n", "stream": "transactions", "seq": refused["seq"], "line": 0}
    assert refused == place | {
        "at": refused["at"], "status": 400, "text": "no such id", "given_up": False, "note": None,
    }  # fmt: skip
    give_up = ("--stream", "transactions", "--discard", "--note", "the vendor knows")
    assert node.bridge("replay", "--state", "quarantined", *give_up).returncode == 0
    told = json.loads(node.bridge("audit", "--json").stdout)["refused"]
    assert told == [refused | {"text": "", "given_up": True, "note": "the vendor knows"}]
    assert ", and given up: the vendor knows\n" in node.bridge("audit").stdout


def test_a_record_that_nobody_answered_for_is_in_doubt(node: Node, beacon: RunningBeacon) -> None:
    beacon.set_faults({"path": "/v1/beacon/ingest-traces", "times": None, "drop": "after"})
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 6
    said = json.loads(node.bridge("audit", "--record", "a", "--json").stdout)
    assert said["answer"] == "in_doubt"
    assert said["places"][0]["unanswered"][0]["attempts"] >= 1
    assert json.loads(node.bridge("audit", "--json").stdout)["unanswered"]
    assert "the beacon may have it" in node.bridge("audit").stdout
    beacon.set_faults()
    assert node.bridge("run", "--once").returncode == 0
    said = json.loads(node.bridge("audit", "--record", "a", "--json").stdout)
    assert said["answer"] == "left"
    assert said["places"][0]["requests"][-1]["in_doubt"] is True


def test_a_request_without_an_answer_stays_in_the_books_when_a_bundle_takes_its_records(
    node: Node, beacon: RunningBeacon, tmp_path: Path
) -> None:
    beacon.set_faults({"path": "/v1/beacon/ingest-traces", "times": None, "drop": "after"})
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 6
    relay, stick = tmp_path / "relay.pub.pem", tmp_path / "stick"
    stick.mkdir()
    public = SigningKey.generate().public
    relay.write_bytes(public.pem())
    trust = ("keys", "trust", str(relay), "--role", "relay", "--name", "relay-1")
    assert node.bridge(*trust, "--fingerprint", public.id).returncode == 0
    assert node.bridge("export", "--to", str(stick)).returncode == 0
    said = json.loads(node.bridge("audit", "--json").stdout)
    assert said["unanswered"] == []
    (row,) = (each for each in said["requests"] if each["verdict"] != "not_carried")
    assert (row["verdict"], row["status"], row["in_doubt"]) == ("withdrawn", None, True)
    assert (row["to"], row["records"]) == (f"{beacon.url}/v1/beacon/ingest-traces", 1)
    told = f"no answer: n/transactions 1, 1 record to {row['to']}, then another way; "
    assert told in node.bridge("audit").stdout
    # What the relay will bring is one record; the beacon has it as often already as it was tried.
    (lane,) = (
        each
        for each in json.loads(node.bridge("status", "--json").stdout)["lanes"]
        if each["stream"] == "transactions"
    )
    assert lane["records"]["in_doubt"] == beacon.received()["transactions"]["records"] > 0


def test_a_segment_left_did_not_leave_or_is_no_longer_held(node: Node, tmp_path: Path) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    append(node, "b")
    sent, waiting = segment_with(node, b"a"), segment_with(node, b"b")
    copy = tmp_path / "copy.ndjson.zst"
    shutil.copy(sent, copy)
    said = json.loads(node.bridge("audit", "--segment", str(copy), "--json").stdout)
    assert (said["answer"], said["held"]) == ("left", True)
    said = json.loads(node.bridge("audit", "--segment", str(waiting), "--json").stdout)
    assert said["answer"] == "not_left"
    # What was deleted here is still known to have left.
    sent.unlink()
    told = node.bridge("audit", "--segment", str(copy), "--json")
    said = json.loads(told.stdout)
    assert (said["answer"], said["held"]) == ("left", False)
    assert "no longer held" in node.bridge("audit", "--segment", str(copy)).stderr
    assert (
        json.loads(node.bridge("audit", "--record", "a", "--json").stdout)["answer"] == "not_held"
    )


def test_a_changed_segment_is_no_question_that_can_be_answered(node: Node, tmp_path: Path) -> None:
    append(node, "a")
    bad = tmp_path / "bad.ndjson.zst"
    data = bytearray(segment_with(node, b"a").read_bytes())
    data[12] ^= 1
    bad.write_bytes(data)
    assert node.bridge("audit", "--segment", str(bad)).returncode == 4


def test_a_ledger_that_was_put_aside_is_read_too(node: Node) -> None:
    append(node, "before")
    assert node.bridge("run", "--once").returncode == 0
    before = json.loads(node.bridge("audit", "--json").stdout)["requests"]
    assert before
    # Damage where the spans are: the ledger is put aside, and begun anew.
    path = node.spool / "ledger.db"
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 3 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    append(node, "after")
    assert node.bridge("run", "--once").returncode == 0
    assert len(kept_ledgers(node.spool)) == 1
    said = json.loads(node.bridge("audit", "--json").stdout)
    assert [row for row in said["requests"] if row in before] == before
    assert len(said["requests"]) > len(before)
    answered = json.loads(node.bridge("audit", "--record", "before", "--json").stdout)
    assert answered["answer"] == "left"
    assert answered["places"][0]["requests"]


def test_a_kept_ledger_that_cannot_be_read_is_said_and_the_rest_is_listed(node: Node) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    (node.spool / "ledger.db.2026-11-23T09:00:00.000Z.bad").write_bytes(b"no database" * 99)
    told = node.bridge("audit", "--json")
    said = json.loads(told.stdout)
    assert told.returncode == 3
    assert said["requests"]
    assert len(said["damaged"]) == 1
    assert "cannot be read any further" in node.bridge("audit").stderr


def test_a_question_at_a_time(node: Node) -> None:
    assert node.bridge("audit", "--record", "a", "--since", "1h").returncode == 2


def test_a_beacons_text_does_not_act_on_a_terminal(node: Node, beacon: RunningBeacon) -> None:
    fault = {"path": "/v1/beacon/ingest-traces", "times": None, "status": 400}
    beacon.set_faults({**fault, "body": '{"error":"\x1b[31m\u202ebad"}'})
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 3
    for arguments in (["audit"], ["audit", "--record", "a"], ["audit", "--json"]):
        said = node.bridge(*arguments).stdout
        assert "\x1b" not in said
        assert "\u202e" not in said
    said = json.loads(node.bridge("audit", "--record", "a", "--json").stdout)
    assert said["answer"] == "left"
    assert said["places"][0]["refused"][0]["status"] == 400


def exported(node: Node, tmp_path: Path) -> Path:
    """A bundle of what is pending, for a relay that the node trusts."""
    relay = Machine(tmp_path / "relay", "far", 2)
    public = tmp_path / "far.pub.pem"
    public.write_bytes(relay.key.public.pem())
    trusted = node.bridge(
        "keys", "trust", str(public), "--role", "relay", "--name", "far",
        "--fingerprint", relay.key.public.id,
    )  # fmt: skip
    assert trusted.returncode == 0, trusted.stderr
    stick = tmp_path / "stick"
    stick.mkdir()
    done = node.bridge("export", "--to", str(stick), "--plain", "--json")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bundles"][0]["path"])


def test_what_left_in_a_bundle_is_listed_and_answered_for(node: Node, tmp_path: Path) -> None:
    append(node, "a", "b")
    bundle = exported(node, tmp_path)
    said = json.loads(node.bridge("audit", "--json").stdout)
    assert said["requests"] == said["unanswered"] == []
    (row,) = said["bundles"]
    assert row["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert (row["recipient"], row["path"]) == ("far", str(bundle))
    path = segment_with(node, b"a")
    with Segment.open(path) as segment:
        wanted = {"node": "n", "stream": "transactions", "seq": 1, "digest": segment.digest}
    assert wanted in row["segments"]
    assert (
        json.loads(node.bridge("audit", "--since", "2126-01-01", "--json").stdout)["bundles"] == []
    )
    assert f"bundle {row['serial']} for far: {bundle.parent}" in node.bridge("audit").stdout

    for question in (("--record", "b"), ("--segment", str(path))):
        said = json.loads(node.bridge("audit", *question, "--json").stdout)
        assert said["answer"] == "left"
        assert [each["sha256"] for each in said["places"][0]["bundles"]] == [row["sha256"]]
        assert f"for far: {bundle.parent}" in node.bridge("audit", *question).stdout


def test_a_bundle_is_known_after_the_ledger_was_put_aside(node: Node, tmp_path: Path) -> None:
    append(node, "a")
    exported(node, tmp_path)
    ledger = node.spool / "ledger.db"
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.rename(node.spool / "ledger.db.2026-11-23T09:00:00.000Z.bad")
    said = json.loads(node.bridge("audit", "--record", "a", "--json").stdout)
    assert said["answer"] == "left"
    assert len(said["places"][0]["bundles"]) == 1
    assert len(json.loads(node.bridge("audit", "--json").stdout)["bundles"]) == 1


def test_a_segment_without_records_left_in_no_request(node: Node) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    lane = Lane(node.spool, node.name, "transactions")
    key = read_signing_key(node.folder / "keys" / "node.pem")
    heartbeat = Sealer(OS_DISK, lane, key, SYSTEM_CLOCK).heartbeat()
    assert node.bridge("run", "--once").returncode == 0
    path = str(lane.segment(heartbeat.seq))
    said = json.loads(node.bridge("audit", "--segment", path, "--json").stdout)
    assert (said["answer"], said["places"][0]["state"]) == ("not_left", "delivered")


def test_each_request_says_which_beacon_it_went_to(node: Node, beacon: RunningBeacon) -> None:
    append(node, "a")
    assert node.bridge("run", "--once").returncode == 0
    url = f"{beacon.url}/v1/beacon/ingest-traces"
    # Whatever the configuration says by then.
    text = node.config.read_text()
    node.config.write_text(text.replace(beacon.url, "https://another.example"))
    said = json.loads(node.bridge("audit", "--record", "a", "--json").stdout)
    assert said["places"][0]["requests"][0]["to"] == url
    assert url in node.bridge("audit", "--record", "a").stdout
