"""Drain: from sealed segments to a beacon that takes everything, with verification and ledger."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import zstandard
from rows import Row, at_least, beside, interleaved
from sink import sink
from spools import KEY, MIB, fill, fill_small, lanes, segments

from bridge.daemon.sending import Outside, make_engine
from bridge.egress.client import BeaconClient
from bridge.egress.selection import Wanted, choose, send_again
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.ledger import Ledger, State

DRAINED = 96 * MIB
"""Bytes of records that are drained in a round."""
REQUEST = 4 * MIB
"""Bytes of records in a request: what the configuration has unless told otherwise."""
SMALL_DRAINED = 24 * MIB
"""Bytes of records in small segments; they are made one after the other."""
SMALL = (50, 500)
"""Records in a small segment; ten minutes of outage at one record a second make 600."""
SMALL_BOUND = 500
"""From so many records on a bound holds."""
LICENSE = "bench"


def drain_to(
    spool: Path,
    client: BeaconClient,
    raw_max: int,
    clock: Callable[[], float],
    prepare: Callable[[Ledger], None] = lambda _: None,
) -> float:
    """Send all of a spool that is pending; how long that took by ``clock``, with ``prepare`` before.

    What the ledger knows nothing of is pending.
    """
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        engine = make_engine(
            spool,
            KEY,
            ledger,
            Outside(client, lambda _: LICENSE, raw_max),
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            random=Random(1),  # noqa: S311 - jitter
            tell=lambda _: None,
        )
        begin = clock()
        prepare(ledger)
        engine.start()
        stuck = engine.drain()
        engine.stop()
        took = clock() - begin
        if stuck is not None or any(ledger.unbatched(lane) for lane in lanes(spool)):
            raise RuntimeError(f"the drain stopped: {stuck}")
    return took


def forget(spool: Path) -> None:
    """Take the ledger and the frontiers away: nothing was ever sent."""
    for path in (*spool.glob("ledger.*"), *spool.glob("*/*/delivered"), spool / "egress.json"):
        path.unlink(missing_ok=True)


def drain(folder: Path, rounds: int) -> list[Row]:
    """MB of records for a second of this process's processor time."""
    spool = folder / "spool"
    size = fill(spool, DRAINED) / 1e6
    paths = segments(spool)
    with sink() as url, httpx.Client(trust_env=False) as bare:
        client = BeaconClient(url, deadline_s=30.0)

        def ours() -> float:
            forget(spool)
            return size / drain_to(spool, client, REQUEST, time.process_time)

        def theirs() -> float:
            begin = time.process_time()
            for path in paths:
                _post_all(bare, url + "/v1/beacon/ingest-traces", path)
            return size / (time.process_time() - begin)

        found = interleaved(rounds, ours, theirs)
        client.close()
    rival = "decompress, join, post with httpx"
    unit = "MB/CPU second"
    return [at_least("drain to a local sink", rival, found[0], found[1], unit, bound=0.6)]


def replay(folder: Path, rounds: int) -> list[Row]:
    """All that was delivered, once more, beside the first time."""
    spool = folder / "spool"
    size = fill(spool, DRAINED) / 1e6
    wanted = Wanted(frozenset({State.DELIVERED}))

    def again(ledger: Ledger) -> None:
        for choice in choose(ledger, lanes(spool), wanted, {KEY.public.id: KEY.public}):
            send_again(ledger, choice)

    with sink() as url:
        client = BeaconClient(url, deadline_s=30.0)

        def replayed() -> float:
            return size / drain_to(spool, client, REQUEST, time.process_time, again)

        def drained() -> float:
            forget(spool)
            return size / drain_to(spool, client, REQUEST, time.process_time)

        drained()
        found = interleaved(rounds, replayed, drained)
        client.close()
    unit = "MB/CPU second"
    return [at_least("replay of what was delivered", "drain", found[0], found[1], unit, bound=0.9)]


def small(folder: Path, rounds: int) -> list[Row]:
    """The same records in small segments and in full ones."""
    full = folder / "full"
    full_size = fill(full, SMALL_DRAINED) / 1e6
    with sink() as url:
        client = BeaconClient(url, deadline_s=30.0)

        def drained(spool: Path, size: float) -> Callable[[], float]:
            def side() -> float:
                forget(spool)
                return size / drain_to(spool, client, REQUEST, time.process_time)

            return side

        rows = []
        for each in SMALL:
            spool = folder / f"small-{each}"
            size = fill_small(spool, SMALL_DRAINED, each) / 1e6
            found = interleaved(rounds, drained(spool, size), drained(full, full_size))
            work = f"drain of segments of {each} records"
            unit = "MB/CPU second"
            if each < SMALL_BOUND:  # opening and verifying cost more than all its records
                rows.append(beside(work, "of full segments", found[0], found[1], unit))
            else:
                row = at_least(work, "of full segments", found[0], found[1], unit, bound=0.8)
                rows.append(row)
        client.close()
    return rows


def _post_all(client: httpx.Client, url: str, path: Path) -> None:
    with path.open("rb") as stored:
        reader = zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True)
        rest = b""
        while raw := reader.read(REQUEST - len(rest)):
            lines, _, after = (rest + raw).rpartition(b"\n")
            joined = lines.replace(b"\n", b",")
            body = b'{"license":"bench","trace_transactions":[%b]}' % joined
            client.post(url, content=body).raise_for_status()
            rest = after
