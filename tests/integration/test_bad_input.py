"""Bad disks, bad clocks, bad files and bad records: contained, named, and everything else flows."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.keyfile import read_signing_key
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.errors import SpoolError
from spool.lane import Lane
from spool.recovery import Recovery
from spool.sealing import Sealer
from spool.writer import Writer
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.books import lines, statements
from tests.support.bridges import Node, node_for
from tests.support.filesystems import remount, small_tmpfs
from tests.support.stored import open_lines

KEY = SigningKey.generate()
DAY_MS = 86_400_000


class SteppedClock:
    """The wall clock jumps by ten years back and forth with each look; the other one runs."""

    def __init__(self) -> None:
        self.looks = 0

    def wall_ms(self) -> int:
        self.looks += 1
        return SYSTEM_CLOCK.wall_ms() + (3650 * DAY_MS) * (-1, 0, 1)[self.looks % 3]

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


def recover(lane: Lane) -> None:
    sealer = Sealer(OS_DISK, lane, KEY, SYSTEM_CLOCK)
    sealer.settle_head()
    list(Recovery(OS_DISK, sealer, SYSTEM_CLOCK).recover())


def noise(number: int) -> bytes:
    return b'{"id":"%d","pad":"%s"}' % (number, os.urandom(2000).hex().encode())


def test_attack_115_a_disk_filled_to_the_last_byte_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    with small_tmpfs(tmp_path / "small", "1m") as disk:
        spool = disk / "spool"
        spool.mkdir()
        lane = Lane(spool, "n", "transactions")
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 200_000)
        acknowledged: list[bytes] = []
        refusals: list[str] = []
        writer = Writer(spool, "transactions", node="n", signer=KEY, seal_size=100_000)
        number = 0
        while len(refusals) < 5:
            record = noise(number)
            number += 1
            try:
                writer.append([record])
                acknowledged.append(record)
            except SpoolError as error:
                refusals.append(error.id)
        ballast.unlink()
        record = noise(number)
        writer.append([record])
        acknowledged.append(record)
        assert set(refusals) == {"disk.full"}
        with suppress(SpoolError):  # sealing may have failed while there was no room
            writer.close()
        recover(lane)
        found = lines(lane, KEY)
        assert set(acknowledged) <= set(found)
        numbers = [said.seq for said, _ in statements(lane, KEY)]
        assert numbers == sorted(set(numbers))


def test_attack_115_a_read_only_disk_is_said_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "small", "4m") as disk:
        spool = disk / "spool"
        spool.mkdir()
        lane = Lane(spool, "n", "transactions")
        with Writer(spool, "transactions", node="n", signer=KEY) as writer:
            writer.append([b'{"id":"before"}'])
        remount(disk, "ro")
        with pytest.raises(SpoolError) as caught:
            Writer(spool, "transactions", node="n", signer=KEY).append([b'{"id":"during"}'])
        assert caught.value.id == "disk.read_only"
        remount(disk, "rw")
        with Writer(spool, "transactions", node="n", signer=KEY) as writer:
            writer.append([b'{"id":"after"}'])
        assert lines(lane, KEY) == [b'{"id":"before"}', b'{"id":"after"}']


def test_a_clock_that_jumps_ten_years_changes_no_order_and_loses_nothing(tmp_path: Path) -> None:
    clock = SteppedClock()
    given = [b'{"id":"%d"}' % number for number in range(30)]
    for record in given:
        with Writer(tmp_path, "transactions", node="n", signer=KEY, clock=clock) as writer:
            writer.append([record])
    lane = Lane(tmp_path, "n", "transactions")
    assert lines(lane, KEY) == given
    assert [said.seq for said, _ in statements(lane, KEY)] == list(range(1, 31))
    assert all(
        said.first_at is not None and said.last_at is not None and said.first_at <= said.last_at
        for said, _ in statements(lane, KEY)
    )


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url) as found:
        yield found


def plant(lane: Lane, victim: Path) -> None:
    """Everything that could be planted in ``open/`` and in the next number's place."""
    victim.write_bytes(b"secret of somebody else\n")
    (lane.open / "20260101T000000000Z-aaaaaaaaaaaa.ndjson.zst").symlink_to(victim)
    os.mkfifo(lane.open / "20260101T000000000Z-bbbbbbbbbbbb.ndjson.zst")
    os.link(victim, lane.open / "20260101T000000000Z-cccccccccccc.ndjson.zst")
    (lane.open / "20260101T000000000Z-dddddddddddd.ndjson.zst").write_bytes(b"\0" * 4096)
    (lane.open / "20260101T000000000Z-eeeeeeeeeeee.ndjson.zst").write_bytes(b"")
    (lane.open / "20260101T000000000Z-ffffffffffff.ndjson.zst").write_bytes(b"\x1f\x8bgzip" * 99)
    (lane.open / "\x1b]0;owned\x07.ndjson.zst").write_bytes(b"x")
    (lane.open / "note.txt~").write_bytes(b"an editor's backup")
    (lane.open / "folder.ndjson.zst").mkdir()
    place = lane.segment(3)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)


@pytest.mark.enable_socket
def test_attack_105_to_119_what_is_planted_in_the_spool_is_set_aside_and_the_rest_flows(
    node: Node, beacon: RunningBeacon
) -> None:
    lane = Lane(node.spool, node.name, "transactions")
    assert node.bridge("run", "--once").returncode == 0
    plant(lane, node.folder / "victim")
    with Writer(node.spool, "transactions", node=node.name) as writer:
        writer.append([b'{"id":"real"}'])
    assert node.bridge("run", "--once").returncode == 0
    assert beacon.received()["transactions"]["records"] == 1
    assert (node.folder / "victim").read_bytes() == b"secret of somebody else\n"
    assert (lane.open / "note.txt~").exists()
    held = [path.name for path in (node.spool / "quarantine").iterdir()]
    for mark in ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "ffffffffffff"):
        assert any(mark in name for name in held), mark
    assert not any("dddddddddddd" in name for name in held)
    status = node.bridge("status", "--json")
    assert "\x1b" not in status.stdout
    assert json.loads(status.stdout)["schema"] == "bridge.status/1"


BAD_REQUESTS = (
    ("/v1/beacon/ingest-traces", b"", 400),
    ("/v1/beacon/ingest-traces", b"[]", 400),
    ("/v1/beacon/ingest-traces", b'{"license":1,"trace_transactions":[]}', 403),
    ("/v1/beacon/ingest-traces", b'{"license":"K","trace_transactions":[{"id":"a"},1]}', 400),
    ("/v1/beacon/ingest-traces", b'{"license":"K","trace_transactions":[{"x":1}]}', 400),
    (
        "/v1/beacon/ingest-traces",
        b'{"license":"K","trace_transactions":[{"id":"a","id":"b"}]}',
        400,
    ),
    ("/v1/beacon/metadata/submit", b'{"license_key":"K","measures":{}}', 400),
    ("/v1/beacon/v1/logs", b'{"resourceLogs":[1]}', 400),
    ("/v1/beacon/v1/logs", b'{"resourceLogs":[{"x":NaN}]}', 400),
    ("/v1/beacon/v1/logs", b'{"resourceLogs":' + b"[" * 70 + b"]" * 70 + b"}", 400),
    (
        "/v1/beacon/v1/logs",
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"' + b"x" * 9_000_000 + b'"}]}]}]}',
        413,
    ),
    ("/v1/beacon/unknown", b"{}", 404),
    ("/runs/multipart", b"{}", 404),
    ("/v1/beacon/verify", b'{"license":7}', 403),
)


@pytest.mark.enable_socket
def test_a_bad_request_is_refused_whole_and_stores_nothing(node: Node) -> None:
    lanes = [Lane(node.spool, node.name, name) for name in ("transactions", "langgraph", "logs")]
    node.daemon.start()
    for path, body, status in BAD_REQUESTS:
        real = body.replace(b'"K"', b'"lcl_EXAMPLE_NOT_A_KEY"')
        assert node.daemon.post(path, real, timeout=60) == status, (path, body[:99])
        # Not that there is no file: the first heartbeats are made meanwhile.
        held = [open_lines(node.spool, lane.stream) for lane in lanes]
        assert held == [[], [], []], (path, body[:99])
    node.daemon.stop()
    for lane in lanes:
        assert not list(lane.open.iterdir())
        assert not lines(lane, read_signing_key(node.folder / "keys" / "node.pem"))
