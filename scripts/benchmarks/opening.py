"""Opening a spool of very many segments, and starting a daemon on it, against a scan of its folders."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from draining import forget
from idling import idling
from records import STREAMS, records
from rows import Row, at_most, below, beside, interleaved
from sink import sink

from keys.keyfile import PRIVATE_NAME, read_signing_key
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.lane import Lane, lanes
from spool.ledger import Ledger
from tests.support.manysegments import make_segments

SEGMENTS = 100_000
MANY_SEGMENTS = 1_000_000
FREE_MIN = {SEGMENTS: 2 * 1024**3, MANY_SEGMENTS: 10 * 1024**3}
"""Bytes that must be free: each segment takes a block of the disk."""
MEMORY_MAX = 128
"""MiB of a daemon, however large its spool."""
NODE = "bench"


def opening(folder: Path, rounds: int, segments: int) -> list[Row]:
    """A ledger that knows the spool, and one that was lost; a daemon's start, its idle hours."""
    if shutil.disk_usage(folder).free < FREE_MIN[segments]:
        sys.stderr.write(f"bench: opening: left out, it needs {FREE_MIN[segments]:,} free bytes\n")
        return []
    node = folder / "node"
    spool = spool_of(node, segments)
    opened_ms(spool)

    def known() -> float:
        return opened_ms(spool)

    def lost() -> float:
        forget(spool)
        return opened_ms(spool)

    def started() -> float:
        with _Daemon(node) as daemon:
            return daemon.started_ms

    found = interleaved(rounds, known, lost, started, lambda: scanned_ms(spool))
    work, rival = f"open a spool of {segments:,} segments", "bare directory scan"
    start = f"start the daemon on {segments:,} segments"
    with _Daemon(node) as daemon:
        idle_row = idling("idle daemon", daemon.pid)
        peak = daemon.peak_mib()
    return [
        at_most(work, rival, found[0], found[3], "ms", bound=4),
        at_most(f"{work} whose ledger was lost", rival, found[1], found[3], "ms", bound=4),
        # Below a million it is Python's own start that is measured.
        at_most(start, rival, found[2], found[3], "ms", bound=4)
        if segments == MANY_SEGMENTS
        else beside(start, rival, found[2], found[3], "ms"),
        below(f"memory, daemon on {segments:,} segments", peak, MEMORY_MAX, "MiB"),
        idle_row,
    ]


def spool_of(node: Path, segments: int) -> Path:
    """A new node's spool, with so many segments of one record in one lane."""
    _bridge("init", str(node), "--node", NODE, "--beacon", "http://127.0.0.1:9")
    (node / "license_key").write_text("lcl_BENCH")
    spool = node / "spool"
    record = records(STREAMS[0], 1)[0]
    key = read_signing_key(node / "keys" / PRIVATE_NAME)
    make_segments(Lane(spool, NODE, STREAMS[0]), key, segments, record)
    return spool


def opened_ms(spool: Path) -> float:
    """How long it takes to open a spool's ledger and to find what is new."""

    def opened() -> None:
        with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
            for lane in lanes(spool):
                discover(ledger, lane)

    return _timed(opened)


def scanned_ms(spool: Path) -> float:
    """How long it takes to name all files below a folder."""
    return _timed(lambda: _scan(spool))


def idle(folder: Path, _: int) -> list[Row]:
    """A daemon that is online, with a beacon that answers and nothing left to send."""
    with sink() as url:
        node = folder / "node"
        _bridge("init", str(node), "--node", NODE, "--beacon", url)
        (node / "license_key").write_text("lcl_BENCH")
        record = folder / "record"
        record.write_bytes(records(STREAMS[0], 1)[0] + b"\n")
        _bridge("--config", str(node / "bridge.yaml"), "append", STREAMS[0], str(record))
        with _Daemon(node, mode="online") as daemon:
            return [idling("idle daemon that is online", daemon.pid)]


class _Daemon:
    """A daemon process from its start to its end."""

    def __init__(self, node: Path, *, mode: str = "offline") -> None:
        begin = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [*_COMMAND, "--config", str(node / "bridge.yaml"), "run"],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "BRIDGE_EGRESS__MODE": mode,
                "BRIDGE_INTAKE__LISTEN": "127.0.0.1:0",
            },
        )
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        for line in self._process.stderr:
            if "daemon.ready" in line:
                break
        self.started_ms = (time.perf_counter() - begin) * 1000

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def peak_mib(self) -> float:
        """The most memory it held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found is not None  # noqa: S101 - Linux has had it since 2.6
        return int(found[1]) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()


_COMMAND = (sys.executable, "-m", "bridge.cli.main")


def _bridge(*arguments: str) -> None:
    subprocess.run([*_COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def _scan(folder: Path | str) -> int:
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            found += _scan(entry.path) if entry.is_dir(follow_symlinks=False) else 1
    return found
