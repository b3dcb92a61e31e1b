"""The command line from one machine to the other and back, as operators and couriers use it."""

import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from spool.lane import Lane
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for, told, trust
from tests.support.commands import COMMAND, on_a_terminal
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def inside(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url, name="inside", more="egress: {mode: offline}\n") as made:
        yield made


@pytest.fixture
def relay(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    key = tmp_path / "inside_key"
    key.write_text(LICENSE)
    key.chmod(0o600)
    with node_for(
        tmp_path, beacon.url, name="relay-1", more=f"licenses: {{inside: [{key}]}}\n"
    ) as made:
        yield made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def public(node: Node) -> Path:
    return node.folder / "keys" / "node.pub.pem"


@pytest.fixture
def paired(inside: Node, relay: Node) -> tuple[Node, Node]:
    trust(inside, relay, "relay")
    trust(relay, inside, "node")
    return inside, relay


def append(node: Node, *ids: str) -> None:
    lines = "".join(json.dumps({"id": each}) + "\n" for each in ids)
    assert node.bridge("append", "transactions", stdin=lines.encode()).returncode == 0


def records(node: Node, of: str = "inside") -> dict[str, int]:
    said = json.loads(node.bridge("status", "--json").stdout)
    found = [
        lane for lane in said["lanes"] if (lane["node"], lane["stream"]) == (of, "transactions")
    ]
    return {state: n for lane in found for state, n in lane["records"].items() if n}


def test_out_and_back_with_balanced_books_on_both_sides(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    append(inside, "a", "b")
    (bundle,) = told(inside, "export", "--to", stick, "--note", "first")["bundles"]
    assert (bundle["records"], bundle["segments"]) == (2, 1)
    assert bundle["lanes"] == [{"node": "inside", "stream": "transactions", "ranges": "1"}]
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=stick, check=True, capture_output=True)
    slip = (stick / (Path(bundle["path"]).name + ".txt")).read_text()
    for word in (bundle["sha256"], "inside", "relay-1", "first", "bridge import"):
        assert word in slip
    assert records(inside) == {"exported": 2}
    (item,) = told(relay, "import", bundle["path"])["items"]
    assert item["segments"] == {"new": 1, "duplicate": 0, "refused": 0}
    (item,) = told(relay, "import", bundle["path"])["items"]
    assert item["segments"] == {"new": 0, "duplicate": 1, "refused": 0}
    assert relay.bridge("run", "--once").returncode == 0
    assert {record.id for record in beacon.records("transactions")} == {"a", "b"}
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=stick, check=True, capture_output=True)
    slip = (stick / (Path(back["path"]).name + ".txt")).read_text()
    for word in (
        back["sha256"],
        "relay-1",
        "1 segment: 1 delivered",
        "token     -",
        "bridge import",
    ):
        assert word in slip
    assert "--resend" not in slip
    (item,) = told(inside, "import", back["path"])["items"]
    assert item["kind"] == "return"
    assert item["receipts"]["delivered"] == 2
    assert records(inside) == {"delivered": 2}
    assert records(relay) == {"delivered": 2}
    assert told(inside, "export", "--to", stick)["bundles"] == []
    assert beacon.received()["transactions"]["records"] == 2


def test_a_relay_without_the_nodes_key_waits_loudly(
    inside: Node, tmp_path: Path, beacon: RunningBeacon, stick: Path
) -> None:
    with node_for(tmp_path, beacon.url, name="keyless") as relay:
        trust(inside, relay, "relay")
        trust(relay, inside, "node")
        append(inside, "a")
        (bundle,) = told(inside, "export", "--to", stick)["bundles"]
        told(relay, "import", bundle["path"])
        assert relay.bridge("run", "--once").returncode == 7
        assert "transactions" not in {
            stream for stream, found in beacon.received().items() if found["records"]
        }
        said = relay.bridge("status").stdout
        assert "license.missing" in said
        assert "licenses: {inside: [FILE]}" in said
        doctor = relay.bridge("doctor").stdout
        assert "There is no license key for inside" in doctor
        assert "licenses: {inside: [FILE]}" in doctor
        assert records(relay) == {"pending": 1}


def test_again_and_resend_pack_what_is_not_confirmed(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    (lost,) = told(inside, "export", "--to", stick)["bundles"]
    Path(lost["path"]).unlink()
    append(inside, "b")
    (second,) = told(inside, "export", "--to", stick)["bundles"]
    assert second["records"] == 1
    (item,) = told(relay, "import", second["path"], code=3)["items"]
    assert item["gaps"] == [{"node": "inside", "stream": "transactions", "ranges": "1"}]
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    (item,) = told(inside, "import", back["path"], code=3)["items"]
    assert item["receipts"]["missing"] == 1
    (resent,) = told(inside, "export", "--to", stick, "--resend", back["path"])["bundles"]
    assert resent["lanes"][0]["ranges"] == "1"
    (again,) = told(inside, "export", "--to", stick, "--again")["bundles"]
    assert again["records"] == 2
    (item,) = told(relay, "import", again["path"])["items"]
    assert item["segments"] == {"new": 1, "duplicate": 1, "refused": 0}


def test_what_went_out_by_http_is_not_missed_by_a_relay_that_never_got_it(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    config, offline = inside.config, inside.config.read_text()
    config.write_text(offline.replace("egress: {mode: offline}\n", ""))
    append(inside, "a")
    assert inside.bridge("run", "--once").returncode == 0
    config.write_text(offline)
    append(inside, "b")
    (second,) = told(inside, "export", "--to", stick)["bundles"]
    (item,) = told(relay, "import", second["path"])["items"]
    assert item["gaps"] == []
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    (item,) = told(inside, "import", back["path"])["items"]
    assert item["receipts"]["missing"] == 0
    assert told(inside, "export", "--to", stick, "--resend", back["path"])["bundles"] == []
    assert "transfer.missing" not in inside.bridge("status", "--json").stdout
    assert relay.bridge("run", "--once").returncode == 0
    assert beacon.received()["transactions"] == {"requests": 2, "records": 2, "distinct": 2}


def test_what_is_exported_is_not_sent_when_egress_returns_unless_replayed(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, _ = paired
    append(inside, "a")
    told(inside, "export", "--to", stick)
    config = inside.config
    config.write_text(config.read_text().replace("egress: {mode: offline}\n", ""))
    assert inside.bridge("run", "--once").returncode == 0
    assert beacon.received()["transactions"]["records"] == 0
    replayed = told(inside, "replay", "--state", "exported")
    assert replayed["delivered"]["records"] == 1
    assert beacon.received()["transactions"]["records"] == 1


def test_a_bundle_is_encrypted_to_the_relay_unless_said_otherwise(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    assert bundle["encrypted"]
    assert inside.bridge("inspect", bundle["path"]).returncode == 4
    (plain,) = told(inside, "export", "--to", stick, "--again", "--plain")["bundles"]
    assert not plain["encrypted"]
    shown = inside.bridge("inspect", plain["path"], "--records")
    assert shown.stdout == '{"id": "a"}\n'
    assert "for relay-1" in shown.stderr
    by_key = relay.bridge("verify", plain["path"], "--key", str(public(inside)))
    assert by_key.returncode == 0
    assert relay.bridge("inspect", bundle["path"], "--json").returncode == 0


def test_a_forged_bundle_ends_with_4_and_changes_nothing(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick, "--plain")["bundles"]
    path = Path(bundle["path"])
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    answer = told(relay, "import", path, code=4)
    assert answer["items"][0]["ok"] is False
    assert answer["items"][0]["problem"]["id"]
    assert records(relay) == {}
    assert relay.bridge("inspect", str(path)).returncode == 4
    done = relay.bridge("verify", str(path))
    assert done.returncode == 4
    assert "its signature and members are good" not in done.stdout


def test_a_folder_is_verified_with_the_bundles_that_lie_in_it(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    told(inside, "export", "--to", stick)
    (item,) = told(relay, "verify", stick)["items"]
    assert (item["kind"], item["ok"]) == ("bundle", True)
    shutil.copy(Lane(inside.spool, "inside", "transactions").segment(1), stick / "1.ndjson.zst")
    (stick / "forged.agb").write_bytes(b"<html>")
    os.mkfifo(stick / "fifo.agr.age")
    items = told(relay, "verify", stick, code=4)["items"]
    assert {Path(each["path"]).name: each["ok"] for each in items} == {
        "fifo.agr.age": False,
        "forged.agb": False,
        "inside-to-relay-1-000001.agb.age": True,
        "1.ndjson.zst": True,
    }


def test_a_daemon_imports_what_is_put_into_its_inbox(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    append(inside, "a")
    inbox = relay.folder / "inbox"
    inbox.mkdir()
    config = relay.config
    config.write_text(config.read_text() + f"transfer: {{inbox: {inbox}}}\n")
    relay.daemon.start()
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    (inbox / "junk.agb").write_bytes(b"<html>")
    shutil.copy(bundle["path"], inbox)
    wait_until(lambda: beacon.received()["transactions"]["records"] == 1, 40)
    name = Path(bundle["path"]).name
    assert {path.name for path in inbox.iterdir()} == {"junk.agb", f"{name}.imported"}


def test_nobody_to_export_to_is_said_with_what_to_do(inside: Node, stick: Path) -> None:
    done = inside.bridge("export", "--to", str(stick))
    assert done.returncode == 78
    assert "keys trust" in done.stderr
    assert list(stick.iterdir()) == []


def test_a_fingerprint_that_is_not_the_keys_own_is_refused(inside: Node, relay: Node) -> None:
    done = inside.bridge(
        "keys", "trust", str(public(relay)), "--role", "relay", "--name", "relay-1",
        "--fingerprint", "0" * 64,
    )  # fmt: skip
    assert done.returncode == 4
    assert "trust.fingerprint" in done.stderr
    assert told(inside, "keys", "list")["keys"] == []


def test_a_key_is_shown_in_groups_of_four_and_revoked_by_its_beginning(
    paired: tuple[Node, Node],
) -> None:
    inside, relay = paired
    shown = relay.bridge("keys", "show").stdout
    key = told(relay, "keys", "show")["id"]
    assert re.search(r"(?:[0-9a-f]{4} ){7}[0-9a-f]{4}", shown)
    told(inside, "keys", "revoke", key[:12])
    (listed,) = told(inside, "keys", "list")["keys"]
    assert listed["revoked"] == {}
    assert inside.bridge("export", "--to", str(inside.folder)).returncode == 78


@pytest.mark.parametrize(
    "given",
    [
        [""],
        ["ID7"],
        ["ID", "--from", "inside/transactions/4"],
        ["ID", "--from", "relay-1/transactions/4"],
    ],
)
def test_nothing_is_revoked_by_too_little_of_an_id_or_by_lanes_that_the_key_does_not_have(
    paired: tuple[Node, Node], given: list[str]
) -> None:
    inside, relay = paired
    key = told(relay, "keys", "show")["id"]
    words = [key[:7] if word == "ID7" else key if word == "ID" else word for word in given]
    assert inside.bridge("keys", "revoke", *words).returncode == 2
    assert told(inside, "keys", "list")["keys"][0]["revoked"] is None


@pytest.mark.parametrize("name", ["Relay 1", "quarantine", "license", ""])
def test_a_key_is_trusted_for_no_name_that_no_machine_can_have(
    inside: Node, relay: Node, name: str
) -> None:
    key = told(relay, "keys", "show")["id"]
    error = told(
        inside, "keys", "trust", public(relay), "--role", "node", "--name", name,
        "--fingerprint", key, code=78,
    )["error"]  # fmt: skip
    assert error["id"] == "node.name"
    assert told(inside, "keys", "list")["keys"] == []


@pytest.mark.parametrize("lane", ["other/transactions", "inside/transaction"])
def test_a_nodes_key_is_revoked_in_lanes_of_its_own_alone(
    paired: tuple[Node, Node], lane: str
) -> None:
    inside, relay = paired
    key = told(inside, "keys", "show")["id"]
    assert relay.bridge("keys", "revoke", key, "--from", f"{lane}/4").returncode == 2
    told(relay, "keys", "revoke", key, "--from", "inside/transactions/4")
    assert told(relay, "keys", "list")["keys"][0]["revoked"] == {"inside/transactions": 4}


def test_a_relay_whose_key_is_revoked_leaves_one_to_export_to(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    told(inside, "keys", "revoke", told(relay, "keys", "show")["id"])
    key = SigningKey(b"\x07" * 32).public
    (stick / "relay-2.pem").write_bytes(key.pem())
    told(
        inside, "keys", "trust", stick / "relay-2.pem", "--role", "relay", "--name", "relay-2",
        "--fingerprint", key.id,
    )  # fmt: skip
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    assert "relay-2" in Path(bundle["path"]).name


def test_what_another_relay_is_to_bring_is_packed_only_by_somebody_who_says_so_and_is_told(
    paired: tuple[Node, Node], tmp_path: Path, stick: Path, beacon: RunningBeacon
) -> None:
    inside, _ = paired
    with node_for(tmp_path, beacon.url, name="relay-2", more=_licenses(tmp_path)) as second:
        trust(inside, second, "relay")
        trust(second, inside, "node")
        append(inside, "a")
        told(inside, "export", "--to", stick, "--for", "relay-1")
        append(inside, "b")
        (bundle,) = told(inside, "export", "--to", stick, "--for", "relay-2")["bundles"]
        assert told(second, "import", bundle["path"], code=3)["items"][0]["gaps"]
        (back,) = told(second, "export", "--for", "inside", "--to", stick)["bundles"]
        (item,) = told(inside, "import", back["path"])["items"]
        assert item["receipts"]["missing"] == 0
        words = ("export", "--for", "relay-2", "--to", str(stick))
        done = inside.bridge(*words, "--resend", back["path"])
        assert "There is nothing to export." in done.stdout
        assert "1 segment that it asks for is in bundles for another relay" in done.stderr
        done = inside.bridge(*words, "--again")
        assert "1 record of it is in a bundle for another relay, too" in done.stderr
        (bundle,) = stick.glob("inside-to-relay-2-000003*.age")
        (item,) = told(second, "import", bundle)["items"]
        assert item["segments"] == {"new": 1, "duplicate": 1, "refused": 0}


def test_one_segment_that_rotted_does_not_stop_the_others_that_a_relay_asks_for(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    append(inside, "b")
    told(inside, "export", "--to", stick)
    append(inside, "c")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    told(relay, "import", bundle["path"], code=3)
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    told(inside, "import", back["path"], code=3)
    rotten = Lane(inside.spool, "inside", "transactions").segment(1)
    rotten.write_bytes(rotten.read_bytes()[:-9])
    answer = told(inside, "export", "--resend", back["path"], "--to", stick, code=3)
    assert [each["lanes"][0]["ranges"] for each in answer["bundles"]] == ["2"]
    assert answer["damaged"] == ["segments/inside/transactions/000000000001.ndjson.zst"]


def test_bundles_before_one_that_could_not_be_written_are_named_and_stay_exported(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, _ = paired
    append(inside, "a")
    append(inside, "b")
    (stick / "inside-to-relay-1-000002.agb.age").mkdir()
    done = inside.bridge("export", "--to", str(stick), "--max-size", "8000")
    assert (done.returncode, "[medium.taken]" in done.stderr) == (5, True)
    assert "inside-to-relay-1-000001.agb.age is whole" in done.stderr
    assert records(inside) == {"exported": 1, "pending": 1}


def test_a_medium_that_cannot_be_written_is_not_taken_for_the_spools_disk(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    (stick / "SHA256SUMS").mkdir()
    error = told(inside, "export", "--to", stick, code=5)["error"]
    assert error["id"] == "medium.failed"
    assert "spool" not in error["hint"]
    assert [path.name for path in stick.iterdir()] == ["SHA256SUMS"]
    assert records(inside) == {"pending": 1}
    told(inside, "export", "--to", stick / "..")
    told(relay, "import", next(stick.parent.glob("*.agb.age")))
    error = told(relay, "export", "--for", "inside", "--to", stick, code=5)["error"]
    assert error["id"] == "medium.failed"


def test_where_a_bundle_went_is_known_wherever_it_was_exported_from(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, _ = paired
    append(inside, "a")
    told(inside, "export", "--to", os.path.relpath(stick))
    (bundle,) = told(inside, "audit")["bundles"]
    assert Path(bundle["path"]).is_absolute()
    assert Path(bundle["path"]).resolve().parent == stick


def test_what_a_return_bundle_has_no_use_for_is_a_usage_error(
    paired: tuple[Node, Node], stick: Path
) -> None:
    _, relay = paired
    for words in (["--note", "x"], ["--again"], ["--stream", "logs"]):
        told(relay, "export", "--for", "inside", "--to", stick, *words, code=2)


def test_a_bundle_that_its_relay_cannot_open_is_not_made_without_a_word(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    append(inside, "a")
    own, theirs = (told(node, "keys", "show")["age"] for node in (inside, relay))
    words = ("export", "--again", "--to", str(stick), "--recipient", own)
    assert "The recipient of relay-1 itself is not given" in inside.bridge(*words).stderr
    assert "itself is not given" not in inside.bridge(*words, "--recipient", theirs).stderr


def test_an_import_that_waits_for_another_says_so(paired: tuple[Node, Node], stick: Path) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    lock = os.open(relay.spool, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = [*COMMAND, "--config", str(relay.config), "import", bundle["path"]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert "this one waits for its end" in waiting.stderr.readline()
        os.close(lock)
        assert waiting.wait(60) == 0


def test_the_bar_is_shown_on_a_terminal(paired: tuple[Node, Node], stick: Path) -> None:
    inside, _ = paired
    append(inside, "a")
    shown = on_a_terminal(["--config", inside.config, "export", "--to", stick], errors=True)
    assert b"writing" in shown


def test_pairing_takes_the_lines_of_the_manual(inside: Node, relay: Node, stick: Path) -> None:
    text = OPERATIONS.read_text()
    section = text[text.index("## Pairing a node and a relay") :]
    begin = section.index("```sh\n") + 6
    block = section[begin : section.index("```", begin)]
    lines = [line.partition("#") for line in block.splitlines()]
    at_inside = [where.split()[0].rstrip(":") == "inside" for _, _, where in lines]
    assert (at_inside.count(True), at_inside.count(False)) == (4, 4)
    shown = {node.name: told(node, "keys", "show") for node in (inside, relay)}
    for (line, _, _), is_inside in zip(lines, at_inside, strict=True):
        words = (
            line.replace("INSIDE/", f"{inside.folder}/")
            .replace("RELAY/", f"{relay.folder}/")
            .replace("STICK", str(stick))
            .replace("FINGERPRINT-OF-RELAY", shown["relay-1"]["id"])
            .replace("FINGERPRINT-OF-INSIDE", shown["inside"]["id"])
            .replace("AGE-OF-RELAY", shown["relay-1"]["age"])
            .replace("AGE-OF-INSIDE", shown["inside"]["age"])
        ).split()
        if words[0] == "bridge":
            done = (inside if is_inside else relay).bridge(*words[1:])
            assert done.returncode == 0, (line, done.stderr)
        else:
            subprocess.run(words, check=True)
    assert [key["name"] for key in told(inside, "keys", "list")["keys"]] == ["relay-1"]
    assert [key["name"] for key in told(relay, "keys", "list")["keys"]] == ["inside"]


def test_replay_from_a_bundle_sends_it_and_enters_it_once(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    append(inside, "a", "b")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    dry = told(relay, "replay", "--from", bundle["path"], "--dry-run")
    assert dry["imported"] == {"new": 1, "duplicate": 0, "refused": 0}
    assert records(relay) == {}
    found = told(relay, "replay", "--from", bundle["path"])
    assert (found["imported"]["new"], found["delivered"]["records"]) == (1, 2)
    assert records(relay) == {"delivered": 2}
    again = told(relay, "replay", "--from", bundle["path"])
    assert again["imported"] == {"new": 0, "duplicate": 1, "refused": 0}
    assert again["selected"]["records"] == 0
    assert beacon.received()["transactions"]["records"] == 2
    twice = told(relay, "replay", "--from", bundle["path"], "--state", "delivered", code=1)
    assert twice["error"]["id"] == "replay.confirm"
    assert records(relay) == {"delivered": 2}


def test_replay_from_its_own_bundle_sends_what_a_node_exported(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, _ = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick, "--plain")["bundles"]
    append(inside, "b")
    inside.config.write_text(inside.config.read_text().replace("egress: {mode: offline}\n", ""))
    found = told(inside, "replay", "--from", bundle["path"])
    assert "imported" not in found
    assert (found["selected"]["records"], found["delivered"]["records"]) == (1, 1)
    assert {record.id for record in beacon.records("transactions")} == {"a", "b"}
    assert records(inside) == {"delivered": 2}


def test_replay_from_anothers_bundle_wants_a_yes_and_a_receipt_is_no_bundle(
    paired: tuple[Node, Node], tmp_path: Path, stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick, "--plain")["bundles"]
    told(relay, "import", bundle["path"])
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    with node_for(tmp_path, beacon.url, name="other", more=_licenses(tmp_path)) as other:
        refused = told(other, "replay", "--from", bundle["path"], code=4)
        assert refused["error"]["id"] == "key.untrusted"
        trust(other, inside, "node")
        refused = told(other, "replay", "--from", bundle["path"], code=1)
        assert refused["error"]["id"] == "replay.recipient"
        assert records(other) == {}
        found = told(other, "replay", "--from", bundle["path"], "--yes")
        assert found["delivered"]["records"] == 1
    assert told(inside, "replay", "--from", back["path"], code=78)["error"]["id"] == "replay.bundle"


def _licenses(folder: Path) -> str:
    return f"licenses: {{inside: [{folder / 'inside_key'}]}}\n"


SAID = "your record is refused, says the beacon"


@pytest.mark.parametrize(("allowed", "there"), [(0, ""), (11, SAID[:11])])
def test_of_the_beacons_answers_a_return_bundle_carries_what_the_relay_allows(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon, allowed: int, there: str
) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    told(relay, "import", bundle["path"])
    path = "/v1/beacon/ingest-traces"
    beacon.set_faults({"path": path, "times": 9, "status": 422, "body": SAID})
    assert relay.bridge("run", "--once").returncode == 3
    relay.config.write_text(relay.config.read_text() + f"transfer: {{return_text: {allowed}}}\n")
    (back,) = told(relay, "export", "--for", "inside", "--to", stick, "--plain")["bundles"]
    shown = told(relay, "inspect", back["path"], "--key", public(relay))
    assert [lane["texts"] for lane in shown["lanes"]] == [[there] if there else []]
    payload = _receipt(Path(back["path"]))
    assert (SAID[:4] in payload) == bool(allowed)
    assert SAID[: allowed + 1] not in payload or not allowed
    (item,) = told(inside, "import", back["path"])["items"]
    assert item["receipts"]["quarantined"] == 1
    assert records(inside) == {"quarantined": 1}


def _receipt(path: Path) -> str:
    out = subprocess.run(
        ["tar", "xOf", path, "receipt.dsse.json"], check=True, capture_output=True
    ).stdout
    return base64.b64decode(json.loads(out)["payload"]).decode()


def test_a_relay_is_told_how_it_is_paired(tmp_path: Path) -> None:
    with node_for(tmp_path, "http://127.0.0.1:9", name="r") as node:
        said = node.bridge("init", str(tmp_path / "new"), "--relay", "--node", "relay-1").stdout
        for word in ("keys show", "keys trust", "--role node", " run"):
            assert word in said
        assert "licenses: {}" in (tmp_path / "new" / "bridge.yaml").read_text()
        assert "\n# license_key_file" in (tmp_path / "new" / "bridge.yaml").read_text()
