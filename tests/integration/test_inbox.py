"""The courier's folder of a relay: what lies there is taken in once, and what hinders it is told."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config.licensekeys import load_license_keys
from bridge.config.load import load
from bridge.daemon.courier import StoppedWork
from bridge.daemon.courierfolder import PAUSE_S, CourierFolder
from bridge.daemon.inbox import REFUSED_AFTER_S, Inbox
from bridge.egress.event import Event
from bridge.transfer.bundle import Bundle, opened
from keys.truststore import TRUST_NAME
from spool.errors import SpoolError
from spool.ledger import State
from spool.troublefile import read_trouble
from tests.support.bridges import node_for
from tests.support.bundles import pair
from tests.support.served import served
from tests.support.spools import HandClock, wait_until


class Relay:
    """A relay with an inbox, whose clock we turn, and a node whose bundles it takes."""

    def __init__(self, folder: Path) -> None:
        self.node, self.machine = pair(folder)
        self.folder = self.machine.folder
        self.medium = self.folder / "in"
        self.trust_file = self.folder / "keys" / TRUST_NAME
        self.trust_file.parent.mkdir()
        self.machine.trust.save(self.trust_file)
        self.medium.mkdir()
        self.events: list[Event] = []
        self.stops = False
        path = self.folder / "bridge.yaml"
        path.write_text(
            "node: relay-1\nkeys: {path: keys}\nspool: {path: spool}\ntransfer: {inbox: in}\n"
        )
        path.chmod(0o644)
        config = load(path, {})
        licenses = load_license_keys(config, {})
        self.inbox = Inbox(
            config,
            self.machine.key,
            self.machine.ledger,
            self.clock,
            self.events.append,
            licenses=lambda: licenses,
            moved=self._moved,
        )

    def _moved(self, _: int) -> None:
        if self.stops:
            raise StoppedWork

    @property
    def clock(self) -> HandClock:
        return self.machine.clock

    def put(self, name: str = "a.agb", number: int = 1) -> None:
        """A bundle with one more record."""
        self.node.append(number)
        self.node.export(self.machine, self.medium, name="one.agb").path.rename(self.medium / name)
        for path in self.medium.glob("SHA256SUMS"):
            path.unlink()
        for path in self.medium.glob("*.txt"):
            path.unlink()

    def look(self, times: int = 2, *, later: float = 0.0) -> bool:
        self.clock.seconds += later
        return [self.inbox.look() for _ in range(times)][-1]

    def told(self) -> list[str]:
        return [event.name for event in self.events]

    def held(self) -> list[str]:
        return sorted(path.name for path in self.medium.iterdir())

    def pending(self) -> int:
        return self.machine.records("inside").get(State.PENDING, 0)

    def trouble(self) -> str | None:
        found = read_trouble(self.machine.spool, "inbox")
        return None if found is None else found.id


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    made = Relay(tmp_path)
    yield made
    for machine in (made.node, made.machine):
        machine.ledger.close()


def test_a_bundle_is_taken_in_once_it_lies_still_and_renamed(relay: Relay) -> None:
    relay.put()
    assert not relay.look(1)
    assert relay.held() == ["a.agb"]
    assert relay.look(1)
    assert relay.held() == ["a.agb.imported"]
    assert relay.pending() == 1
    assert not relay.look()
    assert relay.told() == ["transfer.imported"]


def test_a_copy_that_rests_for_longer_than_two_looks_is_taken_in_when_it_is_whole(
    relay: Relay,
) -> None:
    relay.put()
    path = relay.medium / "a.agb"
    whole = path.read_bytes()
    for part in (0, 700, len(whole) - 512):
        path.write_bytes(whole[:part])
        relay.look(9, later=REFUSED_AFTER_S - 1)
        assert (relay.held(), relay.told()) == (["a.agb"], [])
    path.write_bytes(whole)
    assert relay.look()
    assert relay.held() == ["a.agb.imported"]
    assert relay.pending() == 1


def test_what_is_no_bundle_is_refused_once_it_has_lain_still_for_a_minute(relay: Relay) -> None:
    relay.put("good.agb")
    (relay.medium / "junk.agb").write_text("<html>")
    relay.look()
    assert relay.held() == ["good.agb.imported", "junk.agb"]
    assert relay.told() == ["transfer.imported"]
    assert relay.look(1, later=REFUSED_AFTER_S)
    assert relay.held() == ["good.agb.imported", "junk.agb.refused"]
    assert relay.told() == ["transfer.imported", "transfer.refused"]
    assert not relay.look(3, later=REFUSED_AFTER_S)


def test_a_stranger_who_encrypts_to_the_relay_does_not_get_the_room_that_is_to_stay_free(
    relay: Relay,
) -> None:
    """Nothing tells whose it is before all of it is opened."""
    relay.put()
    secret = relay.machine.identity
    path = relay.node.export(
        relay.machine, relay.folder, states=[State.EXPORTED], age=[relay.machine.age]
    ).path
    free = shutil.disk_usage(relay.machine.spool).free
    trust = relay.machine.trust
    with (
        pytest.raises(SpoolError) as caught,
        opened(path, trust.keys_for, secret, relay.machine.spool, free),
    ):
        pass
    assert caught.value.id == "import.room"
    with opened(path, trust.keys_for, secret, relay.machine.spool, free // 2) as found:
        assert isinstance(found, Bundle)


def test_an_import_that_is_stopped_is_done_by_a_later_look(relay: Relay) -> None:
    relay.put()
    relay.stops = True
    with pytest.raises(StoppedWork):
        relay.look()
    assert relay.held() == ["a.agb"]
    relay.stops = False
    assert relay.look(1)
    assert relay.held() == ["a.agb.imported"]
    assert relay.pending() == 1


def test_what_this_machine_is_to_blame_for_is_told_once_and_tried_again_a_minute_later(
    relay: Relay,
) -> None:
    good = relay.trust_file.read_bytes()
    relay.trust_file.write_bytes(b"torn")
    relay.put()
    relay.look(5)
    assert relay.held() == ["a.agb"]
    assert relay.told() == ["transfer.inbox"]
    assert relay.trouble() == relay.events[0].fields["error"]
    relay.trust_file.write_bytes(good)
    assert not relay.look(later=PAUSE_S - 1)
    assert relay.trouble() is not None
    assert relay.look(1, later=1)
    assert relay.held() == ["a.agb.imported"]
    assert relay.trouble() is None


def test_a_file_that_cannot_be_taken_in_keeps_no_other_from_it(relay: Relay) -> None:
    relay.put("b.agb")
    (relay.medium / "a.agb").mkdir()
    assert relay.look()
    assert "b.agb.imported" in relay.held()
    assert relay.pending() == 1


def test_what_cannot_be_renamed_is_taken_in_once_and_not_again(relay: Relay) -> None:
    name = "a" * 251 + ".agb"
    relay.put(name)
    assert relay.look()
    assert relay.held() == [name]
    assert relay.trouble() == "transfer.folder"
    assert not relay.look(3, later=PAUSE_S)
    assert relay.told() == ["transfer.imported", "transfer.inbox"]
    assert relay.pending() == 1


def test_a_medium_that_is_not_there_is_no_trouble_and_taken_in_when_it_comes(relay: Relay) -> None:
    relay.put()
    away = relay.medium.rename(relay.folder / "away")
    relay.look()
    assert relay.told() == ["transfer.inbox"]
    assert relay.trouble() is None
    away.rename(relay.medium)
    assert relay.look()
    assert relay.held() == ["a.agb.imported"]


def test_a_folder_that_is_none_is_a_trouble_until_it_is_one(relay: Relay) -> None:
    relay.medium.rmdir()
    relay.medium.write_text("no folder")
    relay.look()
    assert relay.trouble() == "transfer.folder"
    relay.medium.unlink()
    relay.medium.mkdir()
    relay.look(later=PAUSE_S)
    assert relay.trouble() is None


def test_work_that_failed_after_long_waits_ten_times_as_long(tmp_path: Path) -> None:
    clock = HandClock()
    events: list[Event] = []
    folder = CourierFolder("outbox", tmp_path, clock, events.append)
    assert folder.begins()
    clock.seconds += 100
    folder.refused(OSError(28, "No space left on device"), "fill the outbox")
    clock.seconds += 999
    assert not folder.begins()
    clock.seconds += 1
    assert folder.begins()


def test_what_cannot_be_told_to_the_status_is_in_the_log(tmp_path: Path) -> None:
    events: list[Event] = []
    CourierFolder("inbox", tmp_path / "nowhere", HandClock(), events.append)
    assert [event.name for event in events] == ["daemon.untold"]


@pytest.mark.enable_socket
def test_an_outbox_that_cannot_be_filled_is_a_problem_of_the_status_while_the_daemon_runs(
    tmp_path: Path,
) -> None:
    more = "egress: {mode: offline}\ntransfer: {outbox: nowhere/out}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", more=more) as node:
        with served(node):
            wait_until(lambda: read_trouble(node.spool, "outbox") is not None)
            told = node.bridge("status", "--json")
            (problem,) = json.loads(told.stdout)["problems"]
            assert (told.returncode, problem["id"]) == (3, "export.for")
            assert problem["message"].startswith("The outbox is of no use to the daemon: ")
        assert json.loads(node.bridge("status", "--json").stdout)["problems"] == []
