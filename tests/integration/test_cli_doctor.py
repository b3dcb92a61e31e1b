"""``bridge doctor`` names exactly what is wrong, step by step, and touches nothing offline."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.demo.processes import free_port
from bridge.testbeacon.tokens import TokenMint
from keys.ed25519 import SigningKey
from tests.support.beacon import running_beacon
from tests.support.commands import COMMAND, Told, bridge, environment, make_node
from tests.support.faultserver import answer, fault_server, say
from tests.support.filesystems import as_any_user

pytestmark = pytest.mark.enable_socket


def node(folder: Path, more: str = "", url: str = "http://127.0.0.1:9") -> Path:
    config = make_node(folder / "node")
    (config.parent / "license_key").chmod(0o600)
    lines = [line for line in config.read_text().splitlines() if not line.startswith("beacon:")]
    beacon = "" if "beacon:" in more else f"beacon: {{url: '{url}'}}\n"
    config.write_text("\n".join(lines) + "\n" + beacon + more)
    return config


def checks(config: Path) -> tuple[Told, Mapping[str, Any]]:
    told = bridge("--config", config, "doctor", "--json")
    return told, {check["id"]: check for check in told.answer["checks"]}


def problem(found: Mapping[str, Any], check: str) -> str:
    wrong = found[check]
    assert wrong["ok"] is False, wrong
    assert wrong["problem"]["hint"]
    named: str = wrong["problem"]["id"]
    return named


def test_a_node_and_a_beacon_that_are_well_are_well(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon", tls=True) as beacon:
        more = f"beacon: {{url: '{beacon.url}', ca_file: {beacon.ca_file}}}\n"
        config = node(tmp_path, more)
        told, found = checks(config)
        assert told.code == 0, told.out
        assert told.answer["schema"] == "bridge.doctor/1"
        assert told.answer["ok"] is True
        assert {name for name, check in found.items() if check["ok"]} >= {
            "config", "keys.node", "license", "spool.folder", "spool.disk", "clock",
            "beacon.name", "beacon.loop", "beacon.tcp", "beacon.tls", "beacon.http",
        }  # fmt: skip
        text = bridge("--config", config, "doctor")
        assert text.out.decode().endswith("All is well.\n")
        # It asked, and left nothing behind.
        assert all(not each["records"] for each in beacon.received().values())


def test_a_wrong_configuration_is_the_first_and_only_finding(tmp_path: Path) -> None:
    config = node(tmp_path, "nothing: 1\n")
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "config") == "config.unknown_key"
    assert list(found) == ["config"]


def test_a_refused_connection_is_named_and_what_comes_after_is_not_looked_at(
    tmp_path: Path,
) -> None:
    config = node(tmp_path, url=f"http://127.0.0.1:{free_port()}")
    told, found = checks(config)
    assert told.code == 6
    assert problem(found, "beacon.tcp") == "beacon.tcp"
    assert "refused" in found["beacon.tcp"]["problem"]["message"]
    assert "no firewall lies between" in found["beacon.tcp"]["problem"]["hint"]
    assert found["beacon.tls"]["ok"] is None
    assert found["beacon.http"]["ok"] is None


def test_a_name_that_is_not_found_is_named(tmp_path: Path) -> None:
    config = node(tmp_path, "beacon: {url: 'https://beacon.invalid'}\n")
    told, found = checks(config)
    assert told.code == 6
    assert problem(found, "beacon.name") == "beacon.name"
    assert found["beacon.tcp"]["ok"] is None


def test_a_certificate_that_nobody_vouches_for_is_named(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon", tls=True) as beacon:
        told, found = checks(node(tmp_path, url=beacon.url))
        assert told.code == 6
        assert problem(found, "beacon.tls") == "beacon.certificate"
        assert "ca_file" in found["beacon.tls"]["problem"]["hint"]


def test_plain_http_where_tls_is_spoken_is_named(tmp_path: Path) -> None:
    with fault_server([say(answer(200, b"{}"))], at_once=[say(b"SSH-2.0-x\r\n")]) as server:
        told, found = checks(node(tmp_path, url=f"https://127.0.0.1:{server.port}"))
        assert told.code == 6
        assert problem(found, "beacon.tls") == "beacon.tls"


@pytest.mark.parametrize(
    ("said", "code", "name"),
    [
        (answer(302, b"", "Location: http://login.example"), 6, "upstream.not_beacon"),
        (answer(200, b"<html>", content_type="text/html"), 6, "upstream.not_beacon"),
        (b"nonsense\r\n\r\n", 6, "beacon.http"),
        (answer(407, b"{}"), 7, "proxy.login"),
        (answer(508, b'{"error":"upstream.loop"}'), 78, "upstream.loop"),
    ],
)
def test_what_answers_and_is_not_the_beacon_is_named(
    tmp_path: Path, said: bytes, code: int, name: str
) -> None:
    with fault_server([say(said)]) as server:
        told, found = checks(node(tmp_path, url=server.url))
        assert told.code == code
        assert problem(found, "beacon.http") == name
        (request,) = server.requests
        assert request.body == b""
        assert "x-langchain-license-key" not in request.headers
        assert "authorization" not in request.headers


def test_a_beacon_that_is_the_intake_itself_is_a_loop(tmp_path: Path) -> None:
    config = node(tmp_path, url="http://127.0.0.1:8480")
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "beacon.loop") == "beacon.loop"


def test_files_that_others_may_read_or_write_are_named(tmp_path: Path) -> None:
    config = node(tmp_path, "egress: {mode: offline}\n")
    home = config.parent
    assert checks(config)[0].code == 0
    (home / "license_key").chmod(0o644)
    (home / "keys" / "node.pem").chmod(0o644)
    (home / "keys").chmod(0o777)
    (home / "spool").chmod(0o777)
    config.chmod(0o666)
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "license.private") == "file.open"
    assert problem(found, "keys.node") == "key.mode"
    assert problem(found, "keys.folder") == "folder.open"
    assert problem(found, "spool.folder") == "folder.open"
    assert problem(found, "config.private") == "file.writable"


def test_a_public_key_of_another_pair_is_named(tmp_path: Path) -> None:
    config = node(tmp_path, "egress: {mode: offline}\n")
    other = make_node(tmp_path / "other").parent
    shutil.copy(other / "keys" / "node.pub.pem", config.parent / "keys" / "node.pub.pem")
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "keys.node") == "key.pair"


def test_a_disk_without_the_room_that_is_to_stay_free_is_a_spool_problem(tmp_path: Path) -> None:
    config = node(tmp_path, "egress: {mode: offline}\n")
    environment_ = {**environment(), "BRIDGE_SPOOL__MIN_FREE": "1000000GiB"}
    done = subprocess.run(
        [*COMMAND, "--config", str(config), "doctor"],
        capture_output=True,
        text=True,
        check=False,
        env=environment_,
    )
    assert done.returncode == 5, done.stdout
    assert "[disk.low]" in done.stdout


def test_a_certificate_file_that_holds_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    told, found = checks(
        node(tmp_path, f"beacon: {{url: 'https://127.0.0.1:9', ca_file: {tmp_path / 'ca.pem'}}}\n")
    )
    assert told.code == 78
    assert problem(found, "beacon.ca_file") == "config.ca_file"


_TRACED = """
import sys
opened = []
def watch(event, args):
    if event in ("socket.__new__", "socket.getaddrinfo", "socket.connect", "socket.bind"):
        opened.append(event)
sys.addaudithook(watch)
from bridge.cli.main import run
code = run(sys.argv[1:])
print("SOCKETS", opened, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(("mode", "quiet"), [("offline", True), ("online", False)])
@pytest.mark.parametrize("option", [[], ["--firewall"]])
def test_offline_nothing_is_looked_up_and_no_socket_is_opened(
    tmp_path: Path, mode: str, option: list[str], *, quiet: bool
) -> None:
    more = f"egress: {{mode: {mode}}}\nbeacon: {{url: 'https://beacon.invalid'}}\n"
    config = node(tmp_path, more)
    done = subprocess.run(
        [sys.executable, "-c", _TRACED, "--config", str(config), "doctor", *option],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert ("SOCKETS []" in done.stderr) is quiet, done.stderr
    assert done.returncode == (0 if quiet else 6)
    if quiet and option:
        assert done.stdout == "beacon.invalid 443\n"


def test_the_firewall_gets_host_address_and_port_and_nothing_else(tmp_path: Path) -> None:
    more = "beacon: {url: 'https://beacon.invalid:8443', addresses: [192.0.2.1, '2001:db8::1']}\n"
    config = node(tmp_path, more)
    told = bridge("--config", config, "doctor", "--firewall")
    assert (told.code, told.err) == (0, "")
    assert told.out == (b"beacon.invalid 192.0.2.1 8443\nbeacon.invalid 2001:db8::1 8443\n")
    answered = bridge("--config", config, "doctor", "--firewall", "--json").answer
    assert answered == {
        "schema": "bridge.doctor/1",
        "host": "beacon.invalid",
        "addresses": ["192.0.2.1", "2001:db8::1"],
        "port": 8443,
    }


def test_behind_a_proxy_it_is_the_proxy_that_a_firewall_lets_through(tmp_path: Path) -> None:
    port = free_port()
    more = f"beacon: {{url: 'https://beacon.invalid', proxy: 'http://127.0.0.1:{port}'}}\n"
    config = node(tmp_path, more)
    told = bridge("--config", config, "doctor", "--firewall")
    assert told.out.decode() == f"127.0.0.1 127.0.0.1 {port}\n"


def test_the_license_key_is_never_shown(tmp_path: Path) -> None:
    config = node(tmp_path)
    told = bridge("-v", "--config", config, "doctor")
    key = (config.parent / "license_key").read_text().strip()
    assert key not in told.out.decode() + told.err
    assert os.environ.get("BRIDGE_LICENSE_KEY") is None


def test_keys_of_the_vendors_that_no_daemon_could_read_are_named(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\nlicense: {jwks_file: vendor.json}\n"
    config = node(tmp_path, more)
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "license.jwks") == "license.jwks_file"
    mint = TokenMint(SigningKey.generate())
    (config.parent / "vendor.json").write_text(json.dumps(mint.jwks()))
    told, found = checks(config)
    assert told.code == 0, told.out
    assert "1 key of the vendor's" in found["license.jwks"]["note"]


def test_couriers_folders_are_looked_at_if_they_are_there(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\ntransfer: {inbox: in, outbox: out}\n"
    config = node(tmp_path, more)
    (config.parent / "out").mkdir()
    told, found = checks(config)
    assert told.code == 0, told.out
    assert found["transfer.inbox"]["ok"] is None
    assert "not mounted" in found["transfer.inbox"]["note"]
    assert found["transfer.outbox"]["ok"] is True
    (config.parent / "in").write_text("no folder")
    told, found = checks(config)
    assert told.code == 78
    assert problem(found, "transfer.inbox") == "folder.kind"


def test_a_couriers_folder_within_a_closed_one_is_named_as_closed_to_this_user(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    (closed / "in").mkdir(parents=True)
    closed.chmod(0)
    config = node(tmp_path, f"egress: {{mode: offline}}\ntransfer: {{inbox: {closed / 'in'}}}\n")
    words = [*as_any_user(), *COMMAND, "--config", str(config), "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, check=False)
    closed.chmod(0o700)
    found = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert problem(found, "transfer.inbox") == "folder.closed"
