"""A known license key and token go everywhere; afterwards they are where they belong and nowhere else.

The memory of the daemon is the one exception, as ``docs/threat-model.md`` says.
"""

import base64
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bridge.demo.processes import Service
from tests.support import attacks as here
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.canary import forms, texts_below, where
from tests.support.commands import Told
from tests.support.licensenodes import pin
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
KEY = "lcl_CANARY+5f2c/93b1=e8a7d6c4b3a29180"
RECORD = '{"severityNumber":17,"body":{"stringValue":"%s"}}'
LOG = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + RECORD + "]}]}]}"
CRASH = """
import sys
from bridge.cli import main, status
def broken(session):
    raise ValueError(f"Illegal header value {session.license_keys.to_send(session.config.node)!r}")
status.command.callback = lambda **_: broken(status.click.get_current_context().obj)
main.main()
"""


@dataclass
class Heard:
    """What commands wrote and producers were answered, by what was asked."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def add(self, what: str, text: bytes) -> None:
        self.texts[f"{len(self.texts)} {what}"] = text


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon", licenses=[KEY]) as running:
        yield running


def run(heard: Heard, node: Node, *arguments: str, code: int | None = 0) -> Told:
    """In this process: what is written is the same. Any exit code will do where it is None."""
    done = here.run("--config", node.config, *arguments)
    assert code in (None, done.code), (arguments, done)
    heard.add(" ".join(arguments), done.out + done.err.encode())
    return done


def append(heard: Heard, node: Node, record: str, *, code: int = 0) -> None:
    """In a process of its own, from its stdin."""
    done = node.bridge("append", "transactions", stdin=json.dumps({"id": record}).encode())
    assert done.returncode == code, done
    heard.add("append", (done.stdout + done.stderr).encode())


def pair(heard: Heard, node: Node, other: Node, role: str) -> None:
    shown = run(heard, other, "keys", "show", "--json").answer
    run(
        heard,
        node, "keys", "trust", str(other.folder / "keys" / "node.pub.pem"), "--role", role,
        "--name", other.name, "--fingerprint", shown["id"],
    )  # fmt: skip


def bodies() -> Iterator[tuple[str, object, dict[str, str]]]:
    """Path, body and headers of requests, as LangSmith, langgraph and OTel SDKs send them.

    Some of them by mistake with the key where no key belongs.
    """
    times = {"from_timestamp": "2026-11-22T00:00:00Z", "to_timestamp": "2026-11-23T00:00:00Z"}
    header = {"X-Langchain-License-Key": KEY}
    escaped = "".join(f"\\u{ord(mark):04x}" for mark in KEY)
    encoded = base64.b64encode(KEY.encode()).decode()
    for record in ("a", KEY):
        yield "ingest-traces", {"license": KEY, "trace_transactions": [{"id": record}]}, {}
    yield "metadata/submit", {"license_key": KEY, **times, "measures": {"runs": 1}}, {}
    yield "usage-snapshot", {"license_key": KEY, **times, "measures": {"seats": 1}}, {}
    for text in ("fine", KEY, escaped, encoded):
        yield "v1/logs", (LOG % text).encode(), header
    yield "v1/logs", b"not json " + KEY.encode(), header
    yield f"v1/logs?license={KEY}", (LOG % "query").encode(), header
    yield KEY, {}, {"X-Data-Plane-Auth": KEY, "User-Agent": KEY, "Cookie": KEY}
    yield "verify", {"license": KEY + "x"}, {}


def produce(heard: Heard, node: Node) -> None:
    url = f"http://127.0.0.1:{node.daemon.port}"
    with httpx.Client(trust_env=False, timeout=30) as client:
        for path, body, more in bodies():
            answered = client.post(
                f"{url}/v1/beacon/{path}",
                content=body if isinstance(body, bytes) else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **more},
            )
            heard.add(f"POST {path[:20]}", answered.content + repr(answered.headers).encode())
        token = client.post(f"{url}/v1/beacon/verify", json={"license": KEY})
    assert token.status_code == 200, token.content


def processes(heard: Heard) -> None:
    """What anybody on this machine sees of our processes."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"bridge.cli.main" in line:
            found += 1
            heard.add(f"process {folder.name}", line + environ)
    assert found >= 1


def crash(heard: Heard, node: Node) -> None:
    """A fault of the program whose trace has the key in it."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH, "--config", str(node.config), "-v", "status"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert b"Illegal header value" in done.stderr, done.stderr
    assert b"Traceback" in done.stderr
    heard.add("crash", done.stdout + done.stderr)


def test_attack_154_the_license_key_and_the_token_are_where_they_belong_and_nowhere_else(
    tmp_path: Path, beacon: RunningBeacon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    stick, heard = tmp_path / "stick", Heard()
    stick.mkdir()
    credential = tmp_path / "key-of-inside"
    credential.write_text(KEY)
    credential.chmod(0o600)
    with beacon.client() as client:
        pinned = pin(tmp_path, client.get("/_beacon/jwks.json").content)
    more = f"licenses: {{inside: ['{credential}']}}\n"
    with (
        # Processes of their own from the start, whose titles are what anybody sees.
        node_for(tmp_path, beacon.url, name="relay-1", more=more, service=Service) as relay,
        node_for(
            tmp_path,
            beacon.url,
            name="inside",
            more=pinned + "egress: {mode: offline}\n",
            service=Service,
        ) as inside,
    ):
        for node in (relay, inside):
            (node.folder / "license_key").write_text(KEY)
        pair(heard, inside, relay, "relay")
        pair(heard, relay, inside, "node")
        # The beacon itself repeats what it was sent, once in each form that people write.
        beacon.set_faults(
            *(
                {"path": "/v1/beacon/ingest-traces", "times": 1, "status": status, "body": body}
                for status, body in (
                    (503, f"<html>{KEY}"), (400, json.dumps({"detail": f"license {KEY}"})),
                )
            )
        )  # fmt: skip
        relay.daemon.start()
        produce(heard, relay)
        wait_until(lambda: beacon.received()["logs"]["records"] >= 1, every_s=0.2)
        processes(heard)
        for words in ("status", "status --json", "audit --json", "doctor --json", "license status"):
            run(heard, relay, *words.split(), code=None)
        relay.daemon.kill()
        append(heard, inside, "b")
        append(heard, inside, KEY, code=1)
        run(heard, inside, "export", "--to", str(stick), "--plain")
        (bundle,) = stick.glob("*.agb")
        run(heard, relay, "inspect", str(bundle), "--records")
        run(heard, relay, "import", str(bundle))
        drained = relay.bridge("-v", "run", "--once")
        heard.add("run", (drained.stdout + drained.stderr).encode())
        run(heard, relay, "license", "refresh", "--json")
        own = here.run("--config", relay.config, "license", "show", "--token", "--json")
        run(heard, relay, "export", "--for", "inside", "--to", str(stick), "--plain")
        (back,) = stick.glob("*.agr")
        for node in (relay, inside):
            run(heard, node, "inspect", str(back), "--json")
        run(heard, inside, "import", str(back), "--json")
        run(heard, inside, "license", "show", "--json")
        crash(heard, relay)
        files = {
            str(path.relative_to(tmp_path)): text
            for path, text in texts_below(tmp_path)
            if not path.is_relative_to(beacon.data)
        }
    assert where(KEY, heard.texts) == set()
    assert where(KEY, files) == {
        "key-of-inside", "node-inside/license_key", "node-relay-1/license_key",
    }  # fmt: skip
    given = back_token(back)
    for each, places in (
        (own.answer["token"], {"node-relay-1/spool/license/relay-1.json"}),
        (given, {f"stick/{back.name}", "node-inside/spool/license/inside.json"}),
    ):
        signature = each.rpartition(".")[2]
        assert where(signature, heard.texts) == set()
        holding = where(signature, files)
        assert places <= holding
        assert {n for n in holding if not n.startswith("node-relay-1/spool/license/")} <= places


def back_token(path: Path) -> str:
    """The token that a return bundle carries."""
    with tarfile.open(path) as tar:
        held = tar.extractfile("token.jwt")
        assert held is not None
        return held.read().decode()


@pytest.mark.parametrize("form", list(forms(KEY)))
def test_the_search_itself_finds_the_key_in_every_form(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_bytes(b"before " + forms(KEY)[form] + b" after")
    assert where(KEY, {str(path): text for path, text in texts_below(tmp_path)})
