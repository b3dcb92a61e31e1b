"""Machines from last week's backup (96): nothing is lost in silence, and no number is used again."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from spool.chain import NEW_CHAIN_STEP
from spool.frames import FrameDecoder
from spool.lane import Lane
from spool.segment import Segment
from tests.support.attacks import Home, ids, make_home
from tests.support.commands import Told

PARTLY, REFUSED = 3, 4
NODE, RELAY = SigningKey(b"n" * 32), SigningKey(b"r" * 32)


class Site:
    """A node, a relay, and a courier between them; all of it by commands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.node = make_home(folder / "node", "n", NODE)
        self.relay = make_home(folder / "relay", "relay-1", RELAY)
        self.node.trust("relay", "relay-1", RELAY.public)
        self.relay.trust("node", "n", NODE.public)
        self.last_return = Path()

    def _new(self, name: str) -> Path:
        self._count += 1
        path = self._folder / f"{name}-{self._count}"
        path.mkdir()
        return path

    def append(self, record: str) -> None:
        """One record, in a segment of its own."""
        line = json.dumps({"id": record}).encode() + b"\n"
        told = self.node.run("append", "transactions", self.node.put("r.ndjson", line))
        assert told.code == 0, told

    def _exported(self, home: Home, *words: str | Path) -> Path:
        to = self._new("stick")
        told = home.run("export", "--json", "--plain", "--to", to, *words)
        assert told.code == 0, told
        return Path(told.answer["bundles"][0]["path"])

    def carried(self, *words: str | Path) -> Told:
        """What the relay says to what the node exports now."""
        return self.relay.run("import", "--json", self._exported(self.node, *words))

    def returned(self) -> Told:
        """What the node says to what the relay gives back now."""
        self.last_return = self._exported(self.relay, "--for", "n")
        return self.node.run("import", "--json", self.last_return)

    def backup_of(self, home: Home) -> Path:
        """A copy of its spool."""
        return shutil.copytree(home.spool, self._new("backup") / "spool")

    def restore(self, home: Home, backup: Path) -> None:
        """Its spool as it was then; other folders, as whoever restores makes them."""
        home.spool.rename(self._new("gone") / "spool")
        shutil.copytree(backup, home.spool)

    @property
    def _lane(self) -> Lane:
        return Lane(self.relay.spool, "n", "transactions")

    def at_the_relay(self) -> Mapping[int, bytes]:
        """The bytes of every number that it holds."""
        return {seq: self._lane.segment(seq).read_bytes() for seq in self._lane.sealed_numbers()}

    def ids_at_the_relay(self) -> list[str]:
        """Of all records that it holds, in the order of their numbers."""
        found: list[str] = []
        for seq in self._lane.sealed_numbers():
            with Segment.open(self._lane.segment(seq)) as segment:
                for frame in segment.raw_frames(FrameDecoder()):
                    found += [json.loads(line)["id"] for line in frame.raw.splitlines()]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_attack_096_a_node_from_last_weeks_backup_uses_no_number_again_and_that_is_told(
    site: Site,
) -> None:
    site.append("a")
    assert site.carried().code == 0
    backup = site.backup_of(site.node)
    site.append("b")
    assert site.carried().code == 0
    before = site.at_the_relay()
    assert site.returned().code == 0  # the twin: of a node as it is, nothing is foreign
    site.restore(site.node, backup)
    site.append("c")
    assert site.carried().code == 0
    after = site.at_the_relay()
    assert before.items() < after.items()
    assert set(after) - set(before) == {NEW_CHAIN_STEP}
    # The node hears from the relay what its backup no longer knows; who verifies there sees it, too.
    heard = site.returned()
    assert (heard.code, ids(heard)) == (PARTLY, ["receipt.foreign"])
    found = site.relay.run("verify", "--json", site.relay.spool)
    assert (found.code, ids(found)) == (REFUSED, ["chain.follows"])
    assert site.ids_at_the_relay() == ["a", "b", "c"]


def test_attack_096_what_a_relay_from_last_weeks_backup_forgot_is_told_asked_for_and_sent_again(
    site: Site,
) -> None:
    site.append("a")
    assert site.carried().code == 0
    backup = site.backup_of(site.relay)
    site.append("b")
    assert site.carried().code == 0
    before = site.at_the_relay()
    site.restore(site.relay, backup)
    site.append("c")
    came = site.carried()
    (gap,) = came.answer["items"][0]["gaps"]
    assert (came.code, gap["ranges"]) == (PARTLY, "2")
    heard = site.returned()
    assert heard.answer["items"][0]["receipts"]["missing"] == 1
    assert "transfer.missing" in ids(site.node.run("status", "--json"))
    assert site.carried("--resend", site.last_return).code == 0
    assert site.returned().code == 0
    assert "transfer.missing" not in ids(site.node.run("status", "--json"))
    assert before.items() < site.at_the_relay().items()
    assert site.ids_at_the_relay() == ["a", "b", "c"]
    assert site.relay.run("verify", site.relay.spool).code == 0
