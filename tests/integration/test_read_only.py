"""What an auditor is told of a spool that may only be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import Ledger
from spool.ledger_log import is_log
from tests.support.bridges import Node, node_for, told, trust
from tests.support.filesystems import read_only

pytestmark = pytest.mark.enable_socket

UNHEALTHY, DISK = 3, 5


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as made:
        yield made


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Node]:
    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", name="relay-1", more=more) as made:
        yield made


def _append(node: Node, name: str) -> None:
    done = node.bridge("append", "transactions", stdin=b'{"id":"%s"}\n' % name.encode())
    assert done.returncode == 0, done.stderr


def _seen(node: Node, *words: str, code: int) -> dict[str, Any]:
    """What a command answers where the whole node may only be read."""
    with read_only(node.folder, node.folder.with_name("beyond")) as beyond:
        there = Node(beyond, beyond / "bridge.yaml", node.name, node.daemon, node.log)
        return told(there, *words, code=code)


def test_the_status_counts_what_the_ledger_was_never_told_of(node: Node) -> None:
    _append(node, "known")
    told(node, "status", code=1)
    _append(node, "new")
    seen = _seen(node, "status", code=UNHEALTHY)
    assert [problem["id"] for problem in seen["problems"]] == ["spool.read_only"]
    assert seen["lanes"] == told(node, "status", code=1)["lanes"]
    (lane,) = (lane for lane in seen["lanes"] if lane["stream"] == "transactions")
    assert (lane["records"]["pending"], lane["segments"]["pending"], lane["head"]) == (2, 2, 2)


def test_a_lane_that_the_ledger_does_not_know_is_counted_by_its_seals(node: Node) -> None:
    told(node, "status", code=1)
    _append(node, "new")
    seen = _seen(node, "status", code=UNHEALTHY)
    assert seen["lanes"] == told(node, "status", code=1)["lanes"]


def test_a_daemon_beyond_the_mount_is_seen_at_its_work(node: Node) -> None:
    node.daemon.start()
    _append(node, "a")
    seen = _seen(node, "status", code=UNHEALTHY)
    assert seen["daemon"]["running"] is True
    assert [problem["id"] for problem in seen["problems"]] == ["spool.read_only"]


def test_the_audit_says_the_same_as_where_it_may_be_written(node: Node) -> None:
    _append(node, "a")
    told(node, "status", code=1)
    for words in (("audit",), ("audit", "--record", "a")):
        assert _seen(node, *words, code=0) == told(node, *words)


@pytest.mark.parametrize("command", ["status", "audit"])
def test_a_missing_ledger_is_said_and_not_made(node: Node, command: str) -> None:
    _append(node, "a")
    error = _seen(node, command, code=DISK)["error"]
    assert error["id"] == "ledger.needs_writing"
    assert not (node.spool / "ledger.db").exists()


@pytest.mark.parametrize(
    "words",
    [("verify", "spool"), ("keys", "list"), ("keys", "show"), ("license", "show")],
    ids=" ".join,
)
def test_what_needs_no_ledger_needs_no_writing(node: Node, words: tuple[str, ...]) -> None:
    _append(node, "a")
    told(node, "status", code=1)
    words = tuple(str(node.spool) if word == "spool" else word for word in words)
    expected = node.bridge(*words, "--json")
    with read_only(node.folder, node.folder.with_name("beyond")) as beyond:
        there = Node(beyond, beyond / "bridge.yaml", node.name, node.daemon, node.log)
        there_words = (word.replace(str(node.folder), str(beyond)) for word in words)
        seen = there.bridge(*there_words, "--json")
    assert seen.returncode == expected.returncode
    assert json.loads(seen.stdout.replace(str(beyond), str(node.folder))) == json.loads(
        expected.stdout
    )


def test_a_log_beside_the_ledger_that_is_none_is_named_at_once(node: Node) -> None:
    _append(node, "a")
    told(node, "status", code=1)
    (node.spool / "ledger.db-wal").write_bytes(b"x" * 4096)
    (node.spool / "ledger.db-shm").write_bytes(b"y" * 32768)
    error = _seen(node, "status", code=DISK)["error"]
    assert error["id"] == "ledger.needs_writing"
    assert "-wal" in error["message"]
    told(node, "status", code=1)  # where it may be written, SQLite puts it aside


def test_the_log_of_a_ledger_that_nobody_closed_is_read(node: Node) -> None:
    _append(node, "a")
    told(node, "status", code=1)
    names = [f"ledger.db{part}" for part in ("", "-wal", "-shm")]
    with Ledger.open(node.spool, clock=SYSTEM_CLOCK):
        _append(node, "b")
        told(node, "status", code=1)
        kept = {name: (node.spool / name).read_bytes() for name in names}
    for name, data in kept.items():
        (node.spool / name).write_bytes(data)
    assert len(kept["ledger.db-wal"]) > 0
    assert is_log(node.spool / "ledger.db-wal")
    assert _seen(node, "status", code=UNHEALTHY)["lanes"] == told(node, "status", code=1)["lanes"]


def _dry(node: Node, *words: str, code: int = 0) -> dict[str, Any]:
    """What a dry run answers where the node may only be read: as where it may be written."""
    seen, expected = (
        {name: value for name, value in answer.items() if name != "bundles"} | _unnamed(answer)
        for answer in (
            _seen(node, *words, "--dry-run", code=code),
            told(node, *words, "--dry-run", code=code),
        )
    )
    assert seen == expected
    return seen


def _unnamed(answer: dict[str, Any]) -> dict[str, Any]:
    """Its bundles, of which each dry run makes up the id."""
    bundles = answer.get("bundles", [])
    return {"bundles": [{**each, "id": None} for each in bundles]}


def test_a_dry_run_of_a_replay_knows_what_the_ledger_was_never_told_of(node: Node) -> None:
    _append(node, "known")
    told(node, "status", code=1)
    _append(node, "new")
    before = (node.spool / "ledger.db").read_bytes()
    seen = _seen(node, "replay", "--dry-run", code=0)
    assert (node.spool / "ledger.db").read_bytes() == before
    assert seen["before"]["records"]["pending"] == 2
    assert seen == told(node, "replay", "--dry-run")
    _dry(node, "replay", "--state", "delivered")
    give_up = ("--discard", "--note", "seen", "--stream", "transactions")
    _dry(node, "replay", "--state", "quarantined", *give_up)
    _dry(node, "replay", "--state", "lost", *give_up)


def test_a_dry_run_of_an_export_says_what_it_would_pack_of_what_is_sealed(
    node: Node, relay: Node, tmp_path: Path
) -> None:
    trust(node, relay, "relay")
    _append(node, "a")
    told(node, "status", code=1)
    _append(node, "b")
    (bundle,) = _dry(node, "export", "--to", str(tmp_path))["bundles"]
    assert (bundle["segments"], bundle["records"]) == (2, 2)
    assert not list(tmp_path.glob("*.agb"))


@pytest.mark.parametrize("how", [["--plain"], []], ids=["plain", "encrypted"])
def test_a_dry_run_on_a_relay_says_what_it_would_take_and_give_back(
    node: Node, relay: Node, tmp_path: Path, how: list[str]
) -> None:
    trust(node, relay, "relay")
    trust(relay, node, "node")
    _append(node, "a")
    (made,) = told(node, "export", "--to", str(tmp_path), *how)["bundles"]
    bundle = made["path"]
    told(relay, "status", code=1)
    (item,) = _dry(relay, "import", bundle)["items"]
    assert item["segments"]["new"] == made["segments"] > 0
    assert _dry(relay, "replay", "--from", bundle)["imported"]["new"] == made["segments"]
    told(relay, "import", bundle)
    assert _dry(relay, "export", "--for", node.name, "--to", str(tmp_path))["pending"] > 0


def test_the_copy_for_a_dry_run_is_gone_when_it_is_closed(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _append(node, "a")
    told(node, "status", code=1)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with read_only(node.spool, tmp_path / "beyond") as beyond:
        with Ledger.open_on_trial(beyond, clock=SYSTEM_CLOCK) as ledger:
            (copy,) = place.iterdir()
            assert copy.stat().st_mode & 0o777 == 0o700
            assert ledger.writable
        assert not list(place.iterdir())
    (node.spool / "ledger.db").write_bytes(b"no ledger")
    with (
        read_only(node.spool, tmp_path / "beyond") as beyond,
        pytest.raises(SpoolError) as caught,
    ):
        Ledger.open_on_trial(beyond, clock=SYSTEM_CLOCK)
    assert caught.value.id == "ledger.needs_writing"
    assert not list(place.iterdir())
