"""Crossing the gap: bundles written and taken in, beside tar, minisign, age, zstd and sha256sum."""

import os
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from records import records
from rows import Row, at_least, below, interleaved
from spools import KEY, MIB, NODE, writer

from bridge.transfer.agefile import make_identity, read_identity, recipient_of
from bridge.transfer.bundle import Bundle, opened
from bridge.transfer.exporting import Chosen, Exported, Exporter, Order, chosen
from bridge.transfer.importing import Importer
from keys.truststore import TrustStore
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.ledger import Ledger
from spool.ranges import Range

STREAM = "transactions"
SEGMENTS = 1000
RECORDS = 3600
"""Records in a segment: about 256 KiB stored."""
DISTINCT = 8
"""Segments' worth of different records; they repeat in later segments."""
RELAY = "relay"
SIZE_MAX = 100_000_000_000
LARGE = {"4 GB": 4 * 10**9, "20 GB": 20 * 10**9}
"""Bytes of segments in a large bundle; twice that much is needed of disk."""
MEMORY_MAX = 100
"""MiB of the whole process."""
_CHILD = Path(__file__).with_name("process.py")


def crossing(folder: Path, rounds: int) -> list[Row]:
    """Export with and without reading back, encrypted, and import, each beside its rivals."""
    spool = folder / "spool"
    fill(spool, SEGMENTS)
    lane = Lane(spool, NODE, STREAM)
    stored = sum(lane.segment(seq).stat().st_size for seq in range(1, SEGMENTS + 1)) / 1e6
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        discover(ledger, lane)
        rows = _export(folder, rounds, lane, ledger, stored)
        rows += _encrypted(folder, rounds, lane, ledger, stored)
        rows += _import(folder, rounds, lane, ledger, stored)
    command = [sys.executable, str(_CHILD), "cross", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    peak = int(done.stdout) * 1024 / MIB
    work = f"memory, a bundle of {stored:,.0f} MB written and taken in"
    return [*rows, below(work, peak, MEMORY_MAX, "MiB")]


def fill(spool: Path, segments: int) -> None:
    """Seal so many segments of about 256 KiB."""
    lines = records(STREAM, DISTINCT * RECORDS)
    groups = [lines[at : at + RECORDS] for at in range(0, len(lines), RECORDS)]
    with writer(spool, STREAM, seal_size=1) as target:
        for at in range(segments):
            target.submit_lines(groups[at % DISTINCT]).wait()


def large(folder: Path, _: int) -> list[Row]:
    """What a large bundle takes of memory on either side, each in a process of its own."""
    rows = []
    for name, size in LARGE.items():
        at = folder / name.replace(" ", "")
        at.mkdir()
        fill_large(at / "spool", size)
        for verb, what in (("pack", "written and read back"), ("take", "taken in")):
            command = [sys.executable, str(_CHILD), verb, str(at)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
            peak = int(done.stdout) * 1024 / MIB
            rows.append(below(f"memory, a bundle of {name} {what}", peak, MEMORY_MAX, "MiB"))
            shutil.rmtree(
                at / "spool", ignore_errors=True
            )  # there is room for two copies, not three
        shutil.rmtree(at)
    return rows


def fill_large(spool: Path, size: int) -> None:
    """Seal segments of the usual size, about ``size`` bytes stored: records that hardly shrink."""
    # Of base64 three quarters are left; a group is a frame.
    lines = [b'{"id":"%d","x":"%b"}' % (n, b64encode(os.urandom(48_000))) for n in range(512)]
    groups = [lines[at : at + 64] for at in range(0, len(lines), 64)]
    with writer(spool, STREAM) as target:
        for at in range(size // (64 * 48_000)):
            target.submit_lines(groups[at % len(groups)]).wait()


class Watch:
    """How long an export took, and how much of that until the reading back began, in seconds."""

    def __init__(self) -> None:
        self._moved = 0
        self._steps: list[tuple[int, float]] = []
        self._began = time.perf_counter()

    def moved(self, count: int) -> None:
        """Of bytes that were written, then read."""
        self._moved += count
        self._steps.append((self._moved, time.perf_counter()))

    def stop(self) -> tuple[float, float]:
        """All of it, and all of it but the reading back."""
        took = time.perf_counter() - self._began
        # As many are read as were written, or a little more; the first piece counts as written.
        back_at = next(at for moved, at in self._steps if moved > self._moved // 2)
        return took, took - (self._steps[-1][1] - back_at)


def _export(folder: Path, rounds: int, lane: Lane, ledger: Ledger, stored: float) -> list[Row]:
    quick: list[float] = []

    def ours() -> float:
        target = _fresh(folder / "out")
        watch = Watch()
        pack(lane, ledger, target, (), watch)
        whole, written = watch.stop()
        quick.append(stored / written)
        return stored / whole

    def tar() -> float:
        begin = time.perf_counter()
        _tar(lane, _fresh(folder / "rival"))
        return stored / (time.perf_counter() - begin)

    def signed() -> float:
        secret = folder / "minisign.key"
        if not secret.exists():
            public = folder / "minisign.pub"
            _run("minisign", "-GW", "-f", "-p", str(public), "-s", str(secret))
        begin = time.perf_counter()
        path = _tar(lane, _fresh(folder / "signed"))
        _run("minisign", "-S", "-s", str(secret), "-m", str(path))
        return stored / (time.perf_counter() - begin)

    work = f"export of {SEGMENTS:,} segments of 256 KiB: signed, synced"
    sides = [ours, tar]
    if shutil.which("minisign"):
        sides.append(signed)
    found = interleaved(rounds, *sides)
    unit, rival = "MB/s", "`tar` + fsync"
    rows = [
        at_least(f"{work}, read back", rival, found[0], found[1], unit, bound=0.5),
        at_least(f"{work}, not read back", rival, quick, found[1], unit, bound=1.0),
    ]
    if len(found) > 2:  # noqa: PLR2004 - with minisign
        both = "`tar` + fsync + `minisign`"
        rows.append(at_least(f"{work}, not read back", both, quick, found[2], unit, bound=2.0))
    else:
        rows.append(_missing(f"{work}, not read back", "minisign", "≥ 2x"))
    return rows


def _encrypted(folder: Path, rounds: int, lane: Lane, ledger: Ledger, stored: float) -> list[Row]:
    work = "export, encrypted, synced, read back"
    if not shutil.which("age"):
        return [_missing(work, "age", "≥ 0.7x")]
    recipient = recipient_of(read_identity(make_identity(folder)))
    quick: list[float] = []

    def ours() -> float:
        watch = Watch()
        pack(lane, ledger, _fresh(folder / "out"), (recipient,), watch)
        whole, written = watch.stop()
        quick.append(stored / written)
        return stored / whole

    def theirs() -> float:
        path = _fresh(folder / "rival") / "rival.tar.age"
        begin = time.perf_counter()
        tar = subprocess.Popen(_tar_command(lane, "-"), stdout=subprocess.PIPE)  # noqa: S603
        _run("age", "-r", recipient, "-o", str(path), stdin=tar.stdout)
        if tar.wait():
            raise RuntimeError("tar failed")
        _run("sync", str(path))
        return stored / (time.perf_counter() - begin)

    found = interleaved(rounds, ours, theirs)
    rival = "`tar` into `age`, + fsync"
    return [
        at_least(work, rival, found[0], found[1], "MB/s", bound=0.7),
        at_least(f"{work.removesuffix(', read back')}, not read back", rival, quick, found[1],
                 "MB/s", bound=0.7),
    ]  # fmt: skip


def _import(folder: Path, rounds: int, lane: Lane, ledger: Ledger, stored: float) -> list[Row]:
    path = pack(lane, ledger, _fresh(folder / "out"), (), Watch()).path
    segments = [str(lane.segment(seq)) for seq in range(1, SEGMENTS + 1)]

    def ours() -> float:
        begin = time.perf_counter()
        take(path, _fresh(folder / "relay"))
        return stored / (time.perf_counter() - begin)

    def theirs() -> float:
        begin = time.perf_counter()
        _run("zstd", "-tqq", "--single-thread", *segments)
        _run("sha256sum", *segments)
        return stored / (time.perf_counter() - begin)

    found = interleaved(rounds, ours, theirs)
    rival = "`zstd -t` + `sha256sum` of the same bytes, nothing kept"
    work = "import: copied, the copy verified, synced, entered"
    return [at_least(work, rival, found[0], found[1], "MB/s", bound=0.7)]


def pack(lane: Lane, ledger: Ledger, target: Path, age: Sequence[str], watch: Watch) -> Exported:
    """What ``bridge export`` does once it knows which numbers to pack."""
    count = sum(1 for _ in islice(lane.sealed_numbers(), SEGMENTS))
    found: list[Chosen] = list(chosen(lane, [Range(1, count)]))
    order = Order(NODE, RELAY, target, None, SIZE_MAX, age, "bench")
    return Exporter(ledger, KEY, SYSTEM_CLOCK).export(found, order, watch.moved)


def take(path: Path, spool: Path) -> None:
    """What ``bridge import`` does with a bundle."""
    spool.mkdir(exist_ok=True)
    public = KEY.public
    trust = TrustStore().with_key("node", NODE, public, public.id)
    with (
        Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger,
        opened(path, trust.keys_for, None, spool) as found,
    ):
        assert isinstance(found, Bundle)  # noqa: S101 - it was just made
        outcome = Importer(spool, ledger, trust, RELAY, OS_DISK).take(found, dry_run=False)
    if outcome.new != len(found.manifest.members):
        raise RuntimeError("the import refused segments")


def _tar(lane: Lane, target: Path) -> Path:
    path = target / "rival.tar"
    _run(*_tar_command(lane, str(path)))
    _run("sync", str(path))
    return path


def _tar_command(lane: Lane, path: str) -> list[str]:
    return ["tar", "-cf", path, "-C", str(lane.folder), "sealed"]


def _run(*command: str, **given: object) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **given)  # type: ignore[call-overload]  # noqa: S603


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _missing(work: str, program: str, bound: str) -> Row:
    return Row(work, f"`{program}`, which is not installed", "—", "—", "—", bound, None)


__all__ = ["MIB", "crossing", "fill", "large", "pack"]
