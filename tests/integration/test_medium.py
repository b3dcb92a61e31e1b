"""What a medium does to a bundle, and what a rotten disk does to what goes into it."""

import errno
import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.transfer import ustar
from bridge.transfer.abandoned import clear_abandoned
from bridge.transfer.bundle import Bundle, opened
from bridge.transfer.exporting import Exporter, Order, chosen
from bridge.transfer.importing import Importer
from bridge.transfer.slip import drop_slip
from keys.errors import BridgeError
from spool.durable import OS_DISK
from spool.ledger import State
from spool.ranges import Range
from spool.writer import Writer
from tests.support.bundles import SIZE_MAX, Machine, pair

P, E = State.PENDING, State.EXPORTED


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    inside, relay = pair(tmp_path)
    for n in range(3):
        inside.append(*range(20 * n, 20 * n + 20))
    return inside, relay


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def tiny() -> Iterator[Callable[[Path, int], Path]]:
    """Mounts a small file system of its own kind over a folder."""
    mounted: list[Path] = []

    def mount(folder: Path, size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("may not mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def export(
    inside: Machine,
    relay: Machine,
    stick: Path,
    *,
    moved: Callable[[int], None] = lambda _: None,
    age: Sequence[str] = (),
    name: str | None = None,
) -> Path:
    order = Order(inside.name, relay.name, stick, name, SIZE_MAX, age, "")
    found = list(chosen(inside.lane(), [Range(1, 9)]))
    return Exporter(inside.ledger, inside.key, inside.clock).export(found, order, moved).path


def refused(work: Callable[[], object]) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        work()
    return caught.value


def nothing_is_left(inside: Machine, stick: Path) -> None:
    assert list(stick.iterdir()) == []
    assert inside.records() == {P: 60}
    assert inside.ledger.bundles() == []


def flip(path: Path, place: int) -> None:
    fd = os.open(path, os.O_RDWR)
    (byte,) = os.pread(fd, 1, place)
    os.pwrite(fd, bytes([byte ^ 1]), place)
    os.close(fd)


@pytest.mark.parametrize("at", [0.001, 0.3, 0.6, 0.999])
def test_a_medium_that_changes_a_bit_of_what_it_took_is_caught(
    machines: tuple[Machine, Machine], stick: Path, at: float
) -> None:
    inside, relay = machines
    moved = 0

    def change(count: int) -> None:
        nonlocal moved
        moved += count
        (part,) = stick.iterdir()
        if moved == part.stat().st_size and part.read_bytes().endswith(ustar.END):
            flip(part, int(at * moved))

    error = refused(lambda: export(inside, relay, stick, moved=change))
    assert error.id == "medium.changed"
    nothing_is_left(inside, stick)


def test_a_medium_that_changes_a_bit_of_what_was_encrypted_is_caught(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    with Writer(inside.spool, "logs", node="inside", signer=inside.key) as writer:
        for _ in range(24):
            writer.append([b'{"resourceLogs":[{"a":"%s"}]}' % os.urandom(1 << 19).hex().encode()])
    inside.look()
    found = list(chosen(inside.lane("logs"), [Range(1, 9)]))
    left = sum(each.packed.size for each in found)

    def change(count: int) -> None:
        nonlocal left
        before, left = left, left - count
        if left <= 0 < before:
            (part,) = stick.iterdir()
            while part.stat().st_size <= 1 << 20:  # another thread writes it
                time.sleep(0.01)
            flip(part, 1 << 20)

    order = Order("inside", relay.name, stick, None, SIZE_MAX, (relay.age,), "")
    exporter = Exporter(inside.ledger, inside.key, inside.clock)
    error = refused(lambda: exporter.export(found, order, change))
    assert error.id == "medium.changed"
    assert list(stick.iterdir()) == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_segment_that_rotted_in_the_spool_is_told_from_a_bad_medium(
    machines: tuple[Machine, Machine], stick: Path, *, encrypted: bool
) -> None:
    inside, relay = machines
    flip(inside.lane().segment(2), 40)
    age = (relay.age,) if encrypted else ()
    error = refused(lambda: export(inside, relay, stick, age=age))
    assert (error.id, "000000000002" in error.message) == ("segment.damaged", True)
    nothing_is_left(inside, stick)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("room", [4096, 8192, 12288, 16384])
def test_a_full_medium_keeps_nothing_that_looks_complete(
    machines: tuple[Machine, Machine],
    stick: Path,
    tiny: Callable[[Path, int], Path],
    room: int,
    *,
    encrypted: bool,
) -> None:
    """From no room at all to room for the bundle, and none for what lies beside it."""
    inside, relay = machines
    tiny(stick, room)
    try:
        path = export(inside, relay, stick, age=(relay.age,) if encrypted else ())
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - or it fits
        nothing_is_left(inside, stick)
    else:
        assert {each.name for each in stick.iterdir()} == {
            path.name, f"{path.name}.txt", "SHA256SUMS",
        }  # fmt: skip
        assert inside.records() == {E: 60}


def test_a_medium_that_is_taken_out_ends_the_export_and_the_books_say_pending(
    machines: tuple[Machine, Machine], stick: Path, tiny: Callable[[Path, int], Path]
) -> None:
    inside, relay = machines
    tiny(stick, 1 << 20)
    gone = False

    def take_out(_: int) -> None:
        nonlocal gone
        if not gone:
            gone = True
            subprocess.run(["mount", "-o", "remount,ro", str(stick)], check=False)
            subprocess.run(["umount", "-l", str(stick)], check=True)

    with pytest.raises((OSError, BridgeError)):
        export(inside, relay, stick, moved=take_out)
    nothing_is_left(inside, stick)


def test_what_lies_there_under_that_name_is_not_overwritten(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    (stick / "mine.agb").write_text("of somebody else")
    assert refused(lambda: export(inside, relay, stick, name="mine.agb")).id == "medium.taken"
    assert (stick / "mine.agb").read_text() == "of somebody else"
    assert inside.records() == {P: 60}


def test_two_exports_to_one_name_leave_one_whole_bundle(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    said: list[str] = []

    def meanwhile(_: int) -> None:
        if not said:
            said.append("")
            said[0] = refused(lambda: export(inside, relay, stick, name="one.agb")).id

    path = export(inside, relay, stick, moved=meanwhile, name="one.agb")
    assert said == ["medium.busy"]
    assert relay.take(path).new == 3


def test_what_a_killed_export_left_is_replaced_by_the_next(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    (stick / "one.agb.part").write_bytes(b"half of a bundle" * 1000)
    path = export(inside, relay, stick, name="one.agb")
    assert relay.take(path).new == 3
    assert not (stick / "one.agb.part").exists()


def test_what_killed_exports_left_goes_and_nothing_else(stick: Path, tmp_path: Path) -> None:
    left = ("inside-to-relay-1-000002.agb.part", "inside-to-relay-1-000003.agb.age.part")
    kept = (
        "inside-to-relay-1-000004.agb.part",  # another process writes it
        "inside-to-relay-1-000005.agb.part",  # a link
        "inside-to-relay-1-000001.agb.age",
        "inside-to-relay-2-000001.agb.part",
        "holidays.part",
    )
    for name in (*left, *kept):
        (stick / name).write_bytes(b"half of a bundle")
    (stick / kept[1]).unlink()
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (stick / kept[1]).symlink_to(victim)
    with (stick / kept[0]).open("rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        clear_abandoned(stick, "inside", "relay-1")
    assert {path.name for path in stick.iterdir()} == set(kept)
    assert victim.read_text() == "as it was"


def test_no_link_is_followed_out_of_the_medium(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path
) -> None:
    inside, relay = machines
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (stick / "one.agb.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        export(inside, relay, stick, name="one.agb")
    assert victim.read_text() == "as it was"


@pytest.mark.parametrize(
    "planted", ["SHA256SUMS", "SHA256SUMS.part", "one.agb.txt", "one.agb.txt.part"]
)
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_nothing_planted_beside_a_bundle_is_read_or_written_through(
    machines: tuple[Machine, Machine], stick: Path, tmp_path: Path, planted: str, kind: str
) -> None:
    inside, relay = machines
    secret = tmp_path / "node.pem"
    secret.write_text("-----BEGIN PRIVATE KEY-----\n")
    if kind == "link":
        (stick / planted).symlink_to(secret)
    else:
        os.mkfifo(stick / planted)
    export(inside, relay, stick, name="one.agb")
    assert secret.read_text() == "-----BEGIN PRIVATE KEY-----\n"
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in stick.iterdir())
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=stick, check=True, capture_output=True)
    assert {path.name for path in stick.iterdir()} == {"one.agb", "one.agb.txt", "SHA256SUMS"}


def test_checksums_of_other_files_stay_and_nothing_else_that_stood_among_them(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    other = b"%b  another\xff file\n" % (b"0" * 64)
    (stick / "SHA256SUMS").write_bytes(b"\xfe words of somebody\n" + other)
    path = export(inside, relay, stick, name="one.agb")
    told = (stick / "SHA256SUMS").read_bytes()
    assert told.startswith(other)
    assert told.count(b"\n") == 2
    drop_slip(path)
    assert (stick / "SHA256SUMS").read_bytes() == other


def test_the_imports_of_two_processes_take_turns(
    machines: tuple[Machine, Machine], stick: Path
) -> None:
    inside, relay = machines
    path = export(inside, relay, stick)
    lock = os.open(relay.spool, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with opened(path, relay.trust.keys_for, None, None) as found, ThreadPoolExecutor(1) as pool:
        assert isinstance(found, Bundle)
        importer = Importer(relay.spool, relay.ledger, relay.trust, "relay-1", OS_DISK)
        waited = threading.Event()
        running = pool.submit(importer.take, found, lambda _: waited.set(), dry_run=False)
        assert waited.wait(30)
        assert relay.records("inside") == {}
        os.close(lock)
        assert running.result().new == 3
