"""The daemon is killed again and again while clients that nobody here wrote send to it.

What is acknowledged is what went back to a client whole: a relay on the way keeps it.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from subprocess import Popen

import pytest

from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.clients.captured import captured
from tests.support.clients.marks import (
    acknowledged,
    check_kept_once_per_acknowledgement,
    raw_of_spool,
)
from tests.support.clients.relay import Relay, relay_to
from tests.support.clients.repeating import captured_again, curl, repeated, schemathesis
from tests.support.clients.running import (
    Collector,
    collector,
    end_of,
    start_javascript,
    start_python,
)
from tests.support.intakes import intake_with
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
KILLS = 4
SDKS: dict[str, tuple[Callable[..., "Popen[str]"], str, str]] = {
    "python-json": (start_python, "json", "none"),
    "python-protobuf": (start_python, "proto", "gzip"),
    "javascript-json": (start_javascript, "http", "gzip"),
    "javascript-protobuf": (start_javascript, "proto", "none"),
}
COLLECTORS = {"collector-json": ("json", "gzip"), "collector-protobuf": ("proto", "zstd")}
OTHERS = ("curl", "captured", "schemathesis")
LINE_EVERY_S = 0.02
GIVE_UP_S = 240
"""Seconds for all clients to get an answer; on idle cores it takes some."""
OK = 200
# Of customer traffic nothing is kept, nor of logs that do not say how severe they are.
CAPTURED = [each for each in captured() if not each.client.startswith(("langsmith", "otelcol"))]


@dataclass(slots=True)
class Lines:
    """The files that the Collectors read; every line in them is a record."""

    collectors: dict[str, Collector]
    runs: dict[str, str]
    count: int = 0

    def write_until(self, true: Callable[[], bool]) -> None:
        """Go on writing until it is true."""
        give_up = time.monotonic() + GIVE_UP_S
        while not true():
            assert time.monotonic() < give_up
            for name, each in self.collectors.items():
                each.write(f"ERROR failed keep-{self.runs[name]}-line-{self.count:06}")
            self.count += 1
            time.sleep(LINE_EVERY_S)

    def all_acknowledged(self, name: str, relay: Relay) -> bool:
        """Whether a Collector has got through with every line."""
        wanted = {f"keep-{self.runs[name]}-line-{n:06}".encode() for n in range(self.count)}
        return wanted <= set(acknowledged(relay.exchanges()))


@pytest.mark.slow
def test_every_acknowledged_record_is_kept_once_per_acknowledgement_though_the_daemon_is_killed(
    tmp_path: Path,
) -> None:
    random = Random(3)
    runs = {name: secrets.token_hex(6) for name in (*SDKS, *COLLECTORS, *OTHERS)}
    lines_of = lines_of_captured(tmp_path)
    with ExitStack() as held:
        beacon = held.enter_context(running_beacon(tmp_path / "beacon"))
        node = held.enter_context(node_for(tmp_path, beacon.url))
        node.daemon.start()
        relays = {name: held.enter_context(relay_to(node.daemon.port)) for name in runs}
        clients = [
            held.enter_context(start(relays[name].url, encoding, compression, runs[name]))
            for name, (start, encoding, compression) in SDKS.items()
        ]
        for client in clients:
            held.callback(client.kill)
        collectors = {
            name: held.enter_context(collector(tmp_path / name, relays[name].url, *how))
            for name, how in COLLECTORS.items()
        }
        held.enter_context(schemathesis(relays["schemathesis"].url, runs["schemathesis"], tmp_path))
        held.enter_context(repeated(curl(relays["curl"].url, runs["curl"])))
        held.enter_context(repeated(captured_again(CAPTURED, relays["captured"].port)))
        lines = Lines(collectors, runs)
        steady = {name: relay for name, relay in relays.items() if name != "schemathesis"}
        lines.write_until(_all_answered(relays))
        for _ in range(KILLS):
            lines.write_until(_passed(random.uniform(0.05, 0.4)))
            node.daemon.kill()
            node.daemon.start()
            lines.write_until(_all_answered(steady))
        for client in clients:
            end_of(client)
        for name in COLLECTORS:
            wait_until(partial(lines.all_acknowledged, name, relays[name]))
        node.daemon.stop()

        for name, relay in relays.items():
            exchanges = relay.exchanges()
            kept = check_kept_once_per_acknowledgement(node.spool, node.name, exchanges, runs[name])
            if name in OTHERS:
                assert kept or name == "captured"
                continue
            assert len({mark.split(b"-")[2] for mark in kept}) == (4 if name in SDKS else 1)
            assert {exchange.status for exchange in exchanges} <= {200, 0}, name
        check_captured(node, relays, lines_of)
        key = node.folder / "keys" / "node.pub.pem"
        verified = node.bridge("verify", str(node.spool), "--key", str(key))
        assert verified.returncode == 0, verified.stderr


def lines_of_captured(folder: Path) -> dict[bytes, bytes]:
    """The line that an intake makes of each captured body."""
    found: dict[bytes, bytes] = {}
    (folder / "other").mkdir()
    with intake_with(folder / "other", "license_key_file: license_key\n") as intake:
        for request in CAPTURED:
            before = intake.stored(request.stream)
            assert request.send(intake.port).status == 200
            (found[request.body],) = intake.stored(request.stream)[len(before) :]
    return found


def check_captured(node: Node, relays: dict[str, Relay], lines_of: dict[bytes, bytes]) -> None:
    """Each captured request is kept as often as it was acknowledged, whoever sent it."""
    kept = Counter(raw_of_spool(node.spool, node.name).splitlines())
    promised, unknown = Counter[bytes](), Counter[bytes]()
    for exchange in chain.from_iterable(relay.exchanges() for relay in relays.values()):
        if (line := lines_of.get(exchange.body)) is not None:
            promised[line] += exchange.status == OK
            unknown[line] += exchange.answer is None
    for line in set(lines_of.values()):
        assert 0 < promised[line] <= kept[line] <= promised[line] + unknown[line]


def _all_answered(relays: dict[str, Relay]) -> Callable[[], bool]:
    """Whether every client got some answer since now."""
    before = {name: relay.answered_bytes for name, relay in relays.items()}
    return lambda: all(relays[name].answered_bytes > size for name, size in before.items())


def _passed(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since now."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until
