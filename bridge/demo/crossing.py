"""The second act: a machine without egress, a relay that has it, and a stick that goes both ways.

Every step is a command that an operator or a courier would type. At the end the books of node, relay
and beacon must say the same, and the node must have its license token.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.demo import clients
from bridge.demo.processes import Service, free_port, run_bridge
from bridge.demo.producer import transaction
from bridge.testbeacon.store import stored_records
from keys.errors import BridgeError

INSIDE, RELAY = "inside", "relay-1"
RECORDS = 500
_NO_DAEMON = 1
"""Exit code of ``status`` while no daemon runs."""
_TOKEN_S = 20.0
"""Seconds for the relay to have the node's token."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """Records in the books of each: appended, delivered by node and by relay, held by the beacon."""

    appended: int
    by_node: int
    by_relay: int
    at_beacon: int
    token: bool
    """Whether a license token came back."""

    @property
    def complete(self) -> bool:
        """Whether all books say the same, and the token is there."""
        counts = {self.appended, self.by_node, self.by_relay, self.at_beacon}
        return len(counts) == 1 and self.token


class Machine:
    """A node of its own folder, by its commands."""

    def __init__(self, folder: Path, name: str, url: str, more: str) -> None:
        self.folder = folder / name
        self.name = name
        self.config = self.folder / "bridge.yaml"
        run_bridge("init", str(self.folder), "--node", name, "--beacon", url)
        self.port = free_port()
        text = self.config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{self.port}")
        self.config.write_text(f"{text}admin: {{listen: 127.0.0.1:{free_port(self.port)}}}\n{more}")
        key = self.folder / "license_key"
        key.write_text(clients.LICENSE)
        key.chmod(0o600)

    def does(self, *arguments: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run a command to its end; its JSON. Raises as :func:`run_bridge` does."""
        said = run_bridge("--config", str(self.config), *arguments, "--json", codes=codes)
        found: dict[str, Any] = json.loads(said)
        return found

    def trusts(self, other: "Machine", role: str) -> None:
        """As after two people compared the fingerprint by voice."""
        shown = other.does("keys", "show")
        self.does(
            "keys", "trust", shown["path"], "--role", role, "--name", other.name,
            "--fingerprint", shown["id"], "--age", shown["age"],
        )  # fmt: skip

    def delivered(self, node: str) -> int:
        """Transactions of ``node`` that its books call delivered."""
        lanes = self.does("status", codes=(0, _NO_DAEMON))["lanes"]
        found = [
            lane["records"]["delivered"]
            for lane in lanes
            if (lane["node"], lane["stream"]) == (node, "transactions")
        ]
        return sum(found)


def cross(folder: Path, tell: Callable[[str], None]) -> Crossed:
    """Tell the act in ``folder``. Raises :class:`BridgeError` where it cannot be told."""
    stick = folder / "stick"
    stick.mkdir(parents=True)
    port = free_port()
    with ExitStack() as held:
        data = folder / "beacon"
        arguments = ["testbeacon", "--listen", f"127.0.0.1:{port}", "--data", str(data)]
        beacon = Service(port, folder / "beacon.log", arguments)
        beacon.start()
        held.callback(beacon.stop)
        url = f"http://127.0.0.1:{port}"
        vendor = folder / "jwks.json"
        vendor.write_bytes(beacon.get("/_beacon/jwks.json"))
        pinned = f"license: {{jwks_file: {vendor}}}\n"
        inside = Machine(folder, INSIDE, url, f"{pinned}egress: {{mode: offline}}\n")
        relay = Machine(folder, RELAY, url, f"{pinned}licenses: {{{INSIDE}: [license_key]}}\n")
        tell("a node without egress and a relay trust each other's keys")
        inside.trusts(relay, "relay")
        relay.trusts(inside, "node")
        lines = folder / "transactions.ndjson"
        lines.write_bytes(b"".join(transaction("courier", n) + b"\n" for n in range(RECORDS)))
        inside.does("append", "transactions", str(lines))
        tell("the node exports; the courier carries an encrypted bundle to the relay")
        (bundle,) = inside.does("export", "--to", str(stick), "--note", "demo")["bundles"]
        relay.does("import", bundle["path"])
        tell("the relay uploads, and fetches the node's license token")
        daemon = Service(relay.port, folder / "relay.log", ["--config", str(relay.config), "run"])
        daemon.start()
        held.callback(daemon.stop)
        run_bridge("--config", str(relay.config), "status", "--wait", "drained", "--timeout", "30s")
        tell("the courier brings the receipt and the token back")
        back = _return(relay, stick)
        inside.does("import", back["path"])
        token = inside.does("license", "status")
        daemon.stop()
        return Crossed(
            RECORDS,
            inside.delivered(INSIDE),
            relay.delivered(INSIDE),
            len({found.id for found in stored_records(data / "beacon.db", "transactions")}),
            bool(token["served"]),
        )


def _return(relay: Machine, stick: Path) -> dict[str, Any]:
    """A return bundle with a token in it, as soon as the relay has one."""
    end = time.monotonic() + _TOKEN_S
    while True:
        made = relay.does("export", "--for", INSIDE, "--to", str(stick))
        (bundle,) = made["bundles"]
        if made["token"]:
            found: dict[str, Any] = bundle
            return found
        if time.monotonic() > end:
            raise BridgeError(
                "demo.token", "The relay got no license token.", f"Look at {stick.parent}."
            )
        shutil.move(bundle["path"], f"{bundle['path']}.early")
        time.sleep(0.5)
