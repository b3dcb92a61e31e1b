"""One process whose memory is measured: ``write SPOOL`` or ``drain SPOOL URL``; prints KiB."""

import re
import sys
import time
from pathlib import Path

import crossing
from draining import drain_to
from records import STREAMS, records
from spools import GROUP, MIB, NODE, groups_of, pipelined, writer

from bridge.egress.client import BeaconClient
from bridge.garbage import collect_seldom
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.lane import Lane
from spool.ledger import Ledger

REQUEST = MIB
PASSES = 6
SINGLES = 1000


def _status(name: str) -> int:
    """A line of the kernel's account of this process, in KiB."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None  # noqa: S101 - Linux has had both since 2.6
    return int(found[1])


def _write(spool: Path) -> int:
    """Fill files and single frames of one stream; the peak above what input and Python take."""
    some = groups_of(records(STREAMS[0], 16 * GROUP))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    with writer(spool, STREAMS[0]) as target:
        for _ in range(PASSES):
            pipelined(target.submit_lines, some)
        for record in some[0][:SINGLES]:
            target.append([record])
    return _status("VmHWM") - before


def _drain(spool: Path, url: str) -> int:
    client = BeaconClient(url, deadline_s=30.0)
    drain_to(spool, client, REQUEST, time.perf_counter)
    client.close()
    return _status("VmHWM")


def _cross(folder: Path) -> int:
    """Pack all segments of the spool in ``folder`` into a bundle, and take it into another spool."""
    _pack(folder)
    return _take(folder)


def _pack(folder: Path) -> int:
    lane = Lane(folder / "spool", NODE, crossing.STREAM)
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        discover(ledger, lane)
        crossing.pack(lane, ledger, folder, (), crossing.Watch())
    return _status("VmHWM")


def _take(folder: Path) -> int:
    (path,) = folder.glob("*.agb")
    crossing.take(path, folder / "taken")
    return _status("VmHWM")


def main() -> None:
    """Do what the arguments say."""
    collect_seldom()
    spool = Path(sys.argv[2])
    if sys.argv[1] in (crossings := {"cross": _cross, "pack": _pack, "take": _take}):
        peak = crossings[sys.argv[1]](spool)
    else:
        peak = _write(spool) if sys.argv[1] == "write" else _drain(spool, sys.argv[3])
    sys.stdout.write(f"{peak}\n")


if __name__ == "__main__":
    main()
