"""``bridge replay --discard``: a person has seen a loss, and only the next one is a problem."""

import json
import os
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli import seeing
from bridge.cli.replayed import sums
from bridge.cli.selecting import wanted_of
from bridge.cli.session import Session
from spool.lane import Lane
from spool.ledger import By, Ledger, State
from tests.integration.test_metrics import admin_port, get, value
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for, told
from tests.support.sending import ONE
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
SEE = ("--discard", "--note", "the disk was exchanged")


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url) as made:
        yield made


def _append(node: Node, stream: str, line: bytes) -> None:
    assert node.bridge("append", stream, stdin=line + b"\n").returncode == 0


def _lose(node: Node, stream: str, line: bytes) -> None:
    """A record whose segment's file goes before it was sent."""
    _append(node, stream, line)
    *_, last = Lane(node.spool, node.name, stream).sealed_numbers()
    Lane(node.spool, node.name, stream).segment(last).unlink()
    node.bridge("run", "--once")


def _problems(node: Node, which: str = "spool.lost") -> dict[str, str]:
    """Message by the command in the hint."""
    said = json.loads(node.bridge("status", "--json").stdout)
    return {
        each["hint"].partition(" replay ")[2]: each["message"]
        for each in said["problems"]
        if each["id"] == which
    }


def _lane(node: Node, stream: str) -> dict[str, dict[str, int]]:
    said = json.loads(node.bridge("status", "--json").stdout)
    (found,) = (each for each in said["lanes"] if each["stream"] == stream)
    return {name: found[name] for name in ("segments", "records", "seen")}


def test_a_loss_that_was_seen_is_no_problem_and_the_next_one_alone_is(node: Node) -> None:
    _lose(node, "transactions", b'{"id":"a"}')
    ((command, _),) = _problems(node).items()
    before = _lane(node, "transactions")
    done = node.bridge("replay", *command.split()[:-1], "a disk")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Seen: of n/transactions 1 lost segment (1); 1 record of it lost")
    assert _problems(node) == {}
    shown = node.bridge("status").stdout
    assert shown.startswith("1 record is lost, which somebody has seen; ")
    after = _lane(node, "transactions")
    assert after == {**before, "seen": {"lost": 1, "partial": 0}}

    _lose(node, "transactions", b'{"id":"b"}')
    ((again, message),) = _problems(node).items()
    assert again == command
    assert "1 segment is lost" in message
    assert "beside 1 that were seen" in message
    told(node, "replay", "--state", "lost", "--stream", "transactions", *SEE)
    acts = told(node, "audit")["seen"]
    assert [act["note"] for act in acts] == ["a disk", SEE[-1]]
    assert [act["lost"]["segments"] for act in acts] == [1, 1]
    assert acts[0]["lost"]["numbers"] == "1"
    assert SEE[-1] in node.bridge("audit").stdout


def test_what_is_seen_again_or_only_tried_enters_nothing(node: Node) -> None:
    _lose(node, "logs", ONE["logs"] % 1)
    see = ("replay", "--state", "lost", *SEE)
    ahead = told(node, *see, "--dry-run")
    assert ahead["selected"]["segments"] == 1
    assert len(_problems(node)) == 1
    assert told(node, *see)["selected"]["segments"] == 1
    assert _problems(node) == {}
    assert told(node, *see)["seen"] == []
    assert "Nothing is new" in node.bridge(*see).stdout
    assert len(told(node, "audit")["seen"]) == 1


def test_billing_is_not_seen_unless_it_is_named(node: Node) -> None:
    _lose(node, "transactions", b'{"id":"a"}')
    _lose(node, "logs", ONE["logs"] % 1)
    refused = told(node, "replay", "--state", "lost", *SEE, code=1)["error"]
    assert refused["id"] == "replay.billing"
    assert "n/transactions 1 lost segment (1)" in refused["message"]
    assert len(_problems(node)) == 2
    assert told(node, "audit")["seen"] == []
    told(node, "replay", "--state", "lost", "--stream", "logs", *SEE)
    (left,) = _problems(node)
    assert "transactions" in left
    told(node, "replay", "--state", "lost", "--segments", "n/transactions/7-9", *SEE)
    assert len(_problems(node)) == 1
    told(node, "replay", "--state", "lost", "--segments", "n/transactions/1-9", *SEE)
    assert _problems(node) == {}


def test_billing_that_is_lost_while_others_are_seen_is_the_next_problem(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    _append(node, "transactions", b'{"id":"a"}')
    _lose(node, "logs", ONE["logs"] % 1)
    _append(node, "transactions", b'{"id":"b"}')
    here = Lane(node.spool, node.name, "transactions")

    def lost_meanwhile(ledger: Ledger) -> object:
        """After it was seen that billing lacks nothing, and before the act."""
        for span in ledger.spans(here, State.PENDING):
            ledger.move(
                here, span.first, span.last,
                source=State.PENDING, target=State.LOST, by=By.LOSS,
                before_first=span.before, after_last=span.after,
            )  # fmt: skip
        return sums(ledger)

    monkeypatch.setattr(seeing, "sums", lost_meanwhile)
    session = Session()
    session.config_file = node.config
    session.begin("replay", as_json=True)
    seeing.see(session, wanted_of(session, ["lost"], (), None, None, ()), "a disk", dry_run=False)
    (left,) = _problems(node)
    assert "transactions" in left
    assert [act["stream"] for act in told(node, "audit")["seen"]] == ["logs"]


def test_a_lost_segment_that_was_seen_can_be_sent_when_its_file_is_put_back(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "transactions", b'{"id":"a"}')
    path = Lane(node.spool, node.name, "transactions").segment(1)
    kept = path.read_bytes()
    path.unlink()
    node.bridge("run", "--once")
    told(node, "replay", "--state", "lost", "--stream", "transactions", *SEE)
    path.write_bytes(kept)
    path.chmod(0o600)
    assert told(node, "replay", "--state", "lost")["delivered"]["records"] == 1
    assert _lane(node, "transactions")["seen"] == {"lost": 0, "partial": 0}
    assert beacon.received()["transactions"]["distinct"] == 1


def test_a_lower_count_that_was_seen_is_no_problem_until_the_next_and_hides_no_loss(
    node: Node,
) -> None:
    """A producer that repeats an id in a second segment is enough for a lower count."""
    for name in ("a", "a"):
        _append(node, "transactions", b'{"id":"%b"}' % name.encode())
        node.bridge("run", "--once")
    _lose(node, "transactions", b'{"id":"b"}')
    ((command, message),) = _problems(node, "record.partial").items()
    assert "counted 1 record less" in message
    done = node.bridge("replay", *command.split()[:-1], "a repeat")
    assert done.stdout.startswith(
        "Seen: of n/transactions 1 record less by the beacon's own count."
    ), done.stderr
    assert _problems(node, "record.partial") == {}
    assert len(_problems(node)) == 1
    assert _lane(node, "transactions")["records"]["partial"] == 1
    _append(node, "transactions", b'{"id":"a"}')
    node.bridge("run", "--once")
    ((_, message),) = _problems(node, "record.partial").items()
    assert "1 record less" in message
    assert "beside 1 that were seen" in message
    refused = told(node, "replay", "--state", "delivered", *SEE, code=1)["error"]
    assert refused["id"] == "replay.billing"


def test_what_a_person_gave_up_was_seen_by_that_person(node: Node) -> None:
    _append(node, "transactions", b'{"id":"a"}')
    node.bridge("run", "--once")
    # As a receipt does that tells of a whole segment.
    with closing(sqlite3.connect(node.spool / "ledger.db")) as connection, connection:
        connection.execute("UPDATE span SET state = 'quarantined' WHERE records > 0")
    told(node, "replay", "--state", "quarantined", "--stream", "transactions", *SEE)
    assert _lane(node, "transactions")["segments"]["lost"] == 1
    assert _problems(node) == {}
    (act,) = told(node, "audit")["seen"]
    assert act["lost"]["numbers"] == "1"


def test_a_ledger_that_was_lost_calls_it_a_problem_again(node: Node) -> None:
    _lose(node, "logs", ONE["logs"] % 1)
    told(node, "replay", "--state", "lost", *SEE)
    (node.spool / "ledger.db").write_bytes(b"junk" * 4096)
    node.bridge("run", "--once")
    assert len(_problems(node)) == 1
    told(node, "replay", "--state", "lost", *SEE)
    assert _problems(node) == {}


def test_a_drop_by_policy_turns_the_metric_red_until_it_is_seen(tmp_path: Path) -> None:
    policy = "{path: spool, max_size: 1MiB, min_free: 0B, ballast: 0B}"
    with node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as node:
        text = node.config.read_text()
        node.config.write_text(text.replace("{path: spool}", policy))
        for _ in range(14):
            filler = b64encode(os.urandom(60_000))
            _append(node, "traces", (ONE["traces"] % 1).replace(b'"name":"', b'"name":"' + filler))
        node.daemon.start()
        wait_until(lambda: len(_problems(node)) == 1)
        red = 'problem{id="spool.lost"}'
        wait_until(lambda: "spool.lost" in get(admin_port(node))[1])
        page = get(admin_port(node))[1]
        assert (value(page, red), value(page, "healthy")) == (1, 0)
        lost = 'segments{node="n",stream="traces",state="lost"}'
        count = value(page, lost)
        assert count >= 1
        told(node, "replay", "--state", "lost", "--stream", "traces", *SEE)
        wait_until(lambda: "spool.lost" not in get(admin_port(node))[1])
        page = get(admin_port(node))[1]
        assert value(page, "healthy") == 1
        assert value(page, lost) == count
        assert value(page, 'lost_seen_segments{node="n",stream="traces"}') == count
