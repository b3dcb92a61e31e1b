"""The drop directory: filled by schedule, taken back when egress returns, repeated for a diode."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.config import Config
from bridge.config.load import load
from bridge.daemon.courier import Courier, StoppedWork
from bridge.daemon.courierfolder import PAUSE_S
from bridge.daemon.outbox import Outbox
from bridge.egress.event import Event
from bridge.egress.selection import Wanted, choose, send_again
from keys.ed25519 import SigningKey
from keys.keyfile import create_pair
from keys.truststore import TRUST_NAME, TrustStore
from spool.discovery import discover, said_by
from spool.durable import OS_DISK
from spool.egressfile import write_egress_state
from spool.lane import Lane, lanes
from spool.ledger import Ledger, State
from spool.troublefile import read_trouble
from spool.writer import Writer
from tests.support.bundles import Machine
from tests.support.sending import ONE
from tests.support.spools import HandClock, wait_until

HOUR_MS = 3_600_000
RELAY = SigningKey(bytes([9]) * 32)


@dataclass
class Site:
    """A node with an outbox, whose clock we turn."""

    folder: Path
    more: str
    clock: HandClock = field(default_factory=HandClock)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "keys").mkdir()
        (self.folder / "spool").mkdir()
        self.key = create_pair(self.folder / "keys")
        self.trust(RELAY)
        path = self.folder / "bridge.yaml"
        path.write_text(
            f"node: inside\nkeys: {{path: keys}}\nspool: {{path: spool}}\n{self.more}\n"
        )
        path.chmod(0o644)
        self.config: Config = load(path, {})
        self.ledger = Ledger.open(self.spool, clock=self.clock)
        self.moved: list[int] = []
        self.outbox = Outbox(
            self.config, self.key, self.ledger, self.clock, self.events.append, self.moved.append
        )

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def lane(self) -> Lane:
        return Lane(self.spool, "inside", "transactions")

    def trust(self, relay: SigningKey) -> None:
        store = TrustStore().with_key("relay", "relay-1", relay.public, relay.public.id)
        store.save(self.folder / "keys" / TRUST_NAME)

    def append(self, *numbers: int) -> None:
        with Writer(
            self.spool, "transactions", node="inside", signer=self.key, clock=self.clock
        ) as writer:
            writer.append([ONE["transactions"] % n for n in numbers])
        # As in a daemon: what is offline has no engine, which would tell the ledger.
        for lane in lanes(self.spool) if self.config.egress.mode == "online" else ():
            discover(self.ledger, lane)

    def look(self, hours: float = 0) -> bool:
        self.clock.wall += int(hours * HOUR_MS)
        self.clock.seconds += abs(hours) * 3600
        return self.outbox.look()

    def egress(self, state: str) -> None:
        write_egress_state(OS_DISK, self.spool, state, self.clock.wall_ms())

    def held(self) -> list[str]:
        folder = self.folder / "out"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def records(self) -> dict[State, int]:
        (counts,) = self.ledger.counts()
        return {state: count for state, count in counts.records.items() if count}


FILES = ["SHA256SUMS", "inside-to-relay-1-000001.agb", "inside-to-relay-1-000001.agb.txt"]
OFFLINE = "egress: {mode: offline}\ntransfer: {outbox: out, every: 24h}"
ONLINE = "transfer: {outbox: out, after: 3d}"
DIODE = "egress: {mode: offline}\ntransfer: {outbox: out, receipts: none, repeat: 2}"


def test_offline_what_waits_is_packed_at_once_and_then_by_schedule(tmp_path: Path) -> None:
    site = Site(tmp_path, OFFLINE)
    site.append(1)
    site.look()
    assert site.held() == FILES
    assert site.records() == {State.EXPORTED: 1}
    site.append(2)
    site.look(hours=23)
    assert site.held() == FILES
    site.look(hours=2)
    assert "inside-to-relay-1-000002.agb" in site.held()
    assert site.records() == {State.EXPORTED: 2}
    assert [event.name for event in site.events] == ["transfer.packed"] * 2
    assert sum(site.moved) > 0


def test_a_clock_that_was_set_back_does_not_keep_the_outbox_empty(tmp_path: Path) -> None:
    site = Site(tmp_path, OFFLINE)
    site.append(1)
    site.look()
    site.append(2)
    site.look(hours=-24 * 365)
    assert site.records() == {State.EXPORTED: 2}


@pytest.mark.parametrize("more", [OFFLINE, DIODE])
def test_after_a_clock_was_ahead_for_a_while_the_schedule_holds_again(
    tmp_path: Path, more: str
) -> None:
    site = Site(tmp_path, more)
    site.append(1)
    site.look(hours=24 * 365)
    site.append(2)
    site.look(hours=-24 * 365)
    assert len(site.ledger.bundles()) == 2
    site.append(3)
    site.look(hours=1)
    assert len(site.ledger.bundles()) == 2
    site.look(hours=24)
    assert len(site.ledger.bundles()) == 3


def test_online_only_what_waited_long_while_egress_was_away_is_packed(tmp_path: Path) -> None:
    site = Site(tmp_path, ONLINE)
    site.append(1)
    site.egress("up")
    site.look(hours=100)
    assert site.held() == []
    site.egress("down")
    site.append(2)
    site.look()
    assert site.held() == FILES
    assert site.records() == {State.EXPORTED: 2}


def test_when_egress_returns_what_lies_there_is_pending_again_and_its_files_go(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, ONLINE)
    site.append(1)
    site.egress("down")
    site.look(hours=73)
    assert site.held() == FILES
    site.egress("up")
    assert site.look()
    assert site.held() == []
    assert site.records() == {State.PENDING: 1}
    assert not site.look()


def test_a_bundle_that_the_courier_took_stays_exported(tmp_path: Path) -> None:
    site = Site(tmp_path, ONLINE)
    site.append(1)
    site.egress("down")
    site.look(hours=73)
    (tmp_path / "out" / FILES[1]).rename(tmp_path / "stick.agb")
    site.egress("up")
    assert not site.look()
    assert site.records() == {State.EXPORTED: 1}


def test_a_file_that_only_sounds_like_a_bundle_takes_none_back(tmp_path: Path) -> None:
    site = Site(tmp_path, ONLINE)
    site.append(1)
    site.egress("down")
    site.look(hours=73)
    (tmp_path / "out" / FILES[1]).rename(tmp_path / "stick.agb")
    for name in ("other-000001.agb", f"{FILES[1]}.part", f"{FILES[1]}.txt"):
        (tmp_path / "out" / name).write_text("not the bundle")
    site.egress("up")
    assert not site.look()
    assert site.records() == {State.EXPORTED: 1}


def test_what_a_crash_left_half_taken_back_is_taken_back(tmp_path: Path) -> None:
    site = Site(tmp_path, ONLINE)
    site.append(1)
    site.egress("down")
    site.look(hours=73)
    bundle = tmp_path / "out" / FILES[1]
    bundle.rename(f"{bundle}.withdrawn")
    site.egress("up")
    assert site.look()
    assert site.held() == []
    assert site.records() == {State.PENDING: 1}


def test_for_a_diode_each_bundle_repeats_what_is_not_in_enough(tmp_path: Path) -> None:
    site = Site(tmp_path, DIODE)
    site.append(1)
    site.look()
    site.append(2)
    site.look(hours=25)
    assert [site.ledger.copies(site.lane, seq) for seq in (1, 2)] == [2, 1]
    site.look(hours=25)
    assert [site.ledger.copies(site.lane, seq) for seq in (1, 2)] == [2, 2]
    site.look(hours=25)
    assert len(site.ledger.bundles()) == 3
    assert site.records() == {State.EXPORTED: 2}


def test_without_anybody_to_pack_for_it_says_so_once_and_goes_on_when_there_is(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, OFFLINE)
    (tmp_path / "keys" / TRUST_NAME).unlink()
    site.append(1)
    site.look()
    site.look()
    assert [event.fields for event in site.events] == [{"error": "export.for"}]
    trouble = read_trouble(site.spool, "outbox")
    assert trouble is not None
    assert trouble.id == "export.for"
    site.trust(RELAY)
    site.look()
    assert site.held() == []
    site.look(hours=PAUSE_S / 3600)
    assert site.records() == {State.EXPORTED: 1}
    assert read_trouble(site.spool, "outbox") is None


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (None, ["Several relays are trusted: relay-1, relay-2"]),
        ("relay-2", []),
        ("relay-3", ["Nobody of the name 'relay-3' is trusted"]),
        ("far", ["'far' is trusted as a node, and is no relay"]),
    ],
)
def test_of_several_relays_it_packs_for_the_one_that_is_named(
    tmp_path: Path, named: str | None, said: list[str]
) -> None:
    site = Site(tmp_path, OFFLINE.replace("24h}", f"24h, outbox_for: {named or 'null'}}}"))
    store = TrustStore()
    for seed, (role, name) in enumerate(
        [("relay", "relay-1"), ("relay", "relay-2"), ("node", "far")]
    ):
        public = SigningKey(bytes([seed]) * 32).public
        store = store.with_key(role, name, public, public.id)
    store.save(tmp_path / "keys" / TRUST_NAME)
    site.append(1)
    site.look()
    told = [event.message for event in site.events if event.name == "transfer.outbox"]
    assert [message.partition(". ")[0] for message in told] == said
    packed = [name for name in site.held() if name.endswith(".agb")]
    assert packed == ([] if said else [f"inside-to-{named}-000001.agb"])


def test_where_nothing_came_since_nothing_waited_nobody_looks_what_waits(tmp_path: Path) -> None:
    site = Site(tmp_path, OFFLINE)
    site.append(1)
    site.look()
    for _ in range(3):
        site.look(hours=25)
    # Whoever looks what waits asks first for whom it is.
    (tmp_path / "keys" / TRUST_NAME).unlink()
    site.look(hours=25)
    assert [event.name for event in site.events] == ["transfer.packed"]
    site.append(2)
    site.look()
    assert site.events[-1].fields == {"error": "export.for"}
    site.trust(RELAY)
    site.look(hours=1)
    assert site.records() == {State.EXPORTED: 2}


def test_what_another_process_has_sent_again_is_packed_after_silence(tmp_path: Path) -> None:
    site = Site(tmp_path, OFFLINE)
    site.append(1)
    site.look()
    for _ in range(3):
        site.look(hours=25)
    with Ledger.open(site.spool, clock=site.clock) as ledger:
        (choice,) = choose(
            ledger, [site.lane], Wanted(frozenset({State.EXPORTED})), site.key.own_keys
        )
        send_again(ledger, choice)
    site.look()
    assert "inside-to-relay-1-000002.agb" in site.held()


def test_a_stop_in_the_midst_of_a_bundle_leaves_nothing_of_it(tmp_path: Path) -> None:
    site = Site(tmp_path, OFFLINE)
    site.append(1)
    courier = Courier(lambda: None)

    def moved(count: int) -> None:
        if count:
            courier._stop.set()  # noqa: SLF001 - as a stop from another thread would, at that moment
        courier.moved(count)

    outbox = Outbox(site.config, site.key, site.ledger, site.clock, site.events.append, moved)
    with pytest.raises(StoppedWork):
        outbox.look()
    assert site.held() == []
    assert site.records() == {State.PENDING: 1}
    assert site.ledger.bundles() == []


def test_the_courier_says_what_ended_it() -> None:
    courier = Courier(lambda: None)

    def broken() -> bool:
        raise ZeroDivisionError

    courier.start(broken)
    wait_until(lambda: courier.broken is not None)
    courier.stop()
    assert isinstance(courier.broken, ZeroDivisionError)


def test_a_medium_that_hangs_holds_up_no_stop() -> None:
    courier, began, back = Courier(lambda: None), threading.Event(), threading.Event()

    def hangs() -> bool:
        began.set()
        return back.wait(60)

    courier.start(hangs)
    assert began.wait(20)
    courier.stop()
    assert not back.is_set()
    back.set()


def test_what_rotted_or_vanished_is_declared_lost_and_the_rest_is_packed(tmp_path: Path) -> None:
    """Nobody else mends a lane that never sends."""
    site = Site(tmp_path, OFFLINE)
    for n in range(5):
        site.append(n)
    rotten, torn = site.lane.segment(1), site.lane.segment(4)
    data = bytearray(rotten.read_bytes())
    data[20] ^= 1
    rotten.write_bytes(data)
    torn.write_bytes(torn.read_bytes()[:-9])
    site.lane.segment(2).unlink()
    site.look()
    assert len(site.held()) == len(FILES)
    gaps = [each for each in site.events if each.name == "spool.gap"]
    assert len(gaps) == 3
    assert site.records()[State.LOST] == 3
    assert site.records()[State.EXPORTED] == 2
    discover(site.ledger, site.lane)
    site.look(25)
    relay = Machine(tmp_path / "relay", "relay-1", 9)
    relay.trust = TrustStore().with_key("node", "inside", site.key.public, site.key.public.id)
    for path in sorted((tmp_path / "out").glob("*.agb")):
        assert relay.take(path).refused == []
    held = relay.lane(node="inside")
    lost = [said_by(held, seq) for seq in held.sealed_numbers()]
    assert [s.lost.ranges for s in lost if s is not None and s.lost is not None] == ["2", "4", "1"]
