"""A relay keeps one token for each node whose license key it holds, and sends each node its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.license.entry import binding_of, entry_path
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.licensenodes import ask, pin, token_status

pytestmark = pytest.mark.enable_socket
INSIDE_KEY, OTHER_KEY = "lcl_EXAMPLE_of_inside", "lcl_EXAMPLE_of_other"


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    """One that knows the relay's own license and that of ``inside``, and not that of ``other``."""
    with running_beacon(tmp_path / "beacon", licenses=[LICENSE, INSIDE_KEY]) as running:
        yield running


def _key(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def pair(tmp_path: Path, beacon: RunningBeacon) -> Iterator[tuple[Node, Node]]:
    """A node without egress and its relay; each knows the vendor's token keys."""
    with beacon.client() as client:
        pinned = pin(tmp_path, client.get("/_beacon/jwks.json").content)
    keys = {
        "inside": _key(tmp_path, "inside_key", INSIDE_KEY),
        "other": _key(tmp_path, "other_key", OTHER_KEY),
    }
    held = ", ".join(f"{node}: [{file}]" for node, file in keys.items())
    more = f"{pinned}licenses: {{{held}}}\n"
    offline = f"{pinned}egress: {{mode: offline}}\n"
    with (
        node_for(tmp_path, beacon.url, name="inside", more=offline) as inside,
        node_for(tmp_path, beacon.url, name="relay-1", more=more) as relay,
    ):
        (inside.folder / "license_key").write_text(INSIDE_KEY)
        for here, there, role in ((inside, relay, "relay"), (relay, inside, "node")):
            shown = json.loads(there.bridge("keys", "show", "--json").stdout)
            trusted = here.bridge(
                "keys", "trust", str(there.folder / "keys" / "node.pub.pem"), "--role", role,
                "--name", there.name, "--fingerprint", shown["id"],
            )  # fmt: skip
            assert trusted.returncode == 0, trusted.stderr
        yield inside, relay


def _crossed(inside: Node, relay: Node, stick: Path) -> str:
    """Carry a record to the relay, and have it make the return bundle; where that lies."""
    stick.mkdir()
    assert inside.bridge("append", "transactions", stdin=b'{"id":"a"}\n').returncode == 0
    out = inside.bridge("export", "--to", str(stick), "--json")
    assert relay.bridge("import", json.loads(out.stdout)["bundles"][0]["path"]).returncode == 0
    back = relay.bridge("export", "--for", inside.name, "--to", str(stick), "--json")
    assert back.returncode == 0, back.stdout
    path: str = json.loads(back.stdout)["bundles"][0]["path"]
    return path


def _claims(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.bridge("license", "show", "--json").stdout)["claims"]
    return found


def test_each_node_gets_the_token_of_its_own_license_and_the_relay_tells_of_all(
    pair: tuple[Node, Node], tmp_path: Path
) -> None:
    inside, relay = pair
    said = relay.bridge("license", "refresh", "--json")
    assert said.returncode == 7
    assert (
        "other: the beacon refused the license (403)" in json.loads(said.stdout)["error"]["message"]
    )
    code, found = token_status(relay)
    assert (code, found["state"]) == (7, "VALID")
    others: Any = found["others"]
    assert [(each["node"], each["state"], each["served"]) for each in others] == [
        ("inside", "VALID", True), ("other", "DENIED", False),
    ]  # fmt: skip
    status = json.loads(relay.bridge("status", "--json").stdout)
    assert [each["id"] for each in status["problems"]] == ["license.denied"]
    assert "of other is refused" in status["problems"][0]["message"]
    assert entry_path(relay.spool, "inside").exists()

    back = _crossed(inside, relay, tmp_path / "stick")
    assert token_status(inside)[0] == 8
    imported = inside.bridge("import", back)
    assert "A license token came with it, and is served." in imported.stdout
    code, found = token_status(inside)
    assert (code, found["state"], found["source"]) == (0, "VALID", "import")
    assert _claims(inside)["sub"] == binding_of(INSIDE_KEY)
    assert _claims(relay)["sub"] == binding_of(LICENSE)
    inside.daemon.start()
    token = inside.bridge("license", "show", "--token").stdout.strip()
    assert ask(inside, INSIDE_KEY).json() == {"token": token}
    again = inside.bridge("import", back)
    assert "what is kept already is as good or better" in again.stdout


def test_a_token_of_another_license_in_a_return_bundle_is_not_kept(
    pair: tuple[Node, Node], tmp_path: Path
) -> None:
    inside, relay = pair
    relay.bridge("license", "refresh")
    (inside.folder / "license_key").write_text(OTHER_KEY)
    imported = inside.bridge("import", _crossed(inside, relay, tmp_path / "stick"))
    assert "it is not kept: the token is of another license" in imported.stdout
    assert token_status(inside)[1]["state"] == "NONE"
