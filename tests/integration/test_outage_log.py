"""An outage is a few lines of the log, however often the beacon is tried; and none says a secret."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from bridge.daemon.sending import Outside, make_engine
from bridge.egress.client import BeaconClient
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from spool.clock import SystemClock
from spool.ledger import Ledger
from spool.writer import Writer
from tests.support.bridges import node_for
from tests.support.disks import FastDisk
from tests.support.faultserver import Step, answer, fault_server, reset, say
from tests.support.spools import KEY, wait_until

pytestmark = pytest.mark.enable_socket
SECRET = "lcl_A_KEY_THAT_NOBODY_SEES"
RECORD = b'{"id":"a-record-that-nobody-sees"}'


class HastyClock(SystemClock):
    """Its seconds pass a thousand times as fast: back-off is over at once."""

    def monotonic(self) -> float:
        return time.monotonic() * 1000


@contextmanager
def engine_for(spool: Path, url: str, said: list[Event]) -> Iterator[Engine]:
    """A real engine whose log is ``said``; it is woken again and again."""
    clock = HastyClock()
    client = BeaconClient(url, deadline_s=5)
    with Ledger.open(spool, clock=clock) as ledger:
        engine = make_engine(
            spool,
            KEY,
            ledger,
            Outside(client, lambda _: SECRET, 1 << 20),
            disk=FastDisk(),
            clock=clock,
            random=Random(1),
            tell=said.append,
        )
        engine.start()
        over = threading.Event()

        def wake() -> None:
            while not over.wait(0.005):
                engine.wake()

        waking = threading.Thread(target=wake)
        waking.start()
        try:
            yield engine
        finally:
            over.set()
            waking.join()
            engine.stop()
            client.close()


def test_hundreds_of_failed_attempts_are_one_line_for_each_change_of_state(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with Writer(spool, "transactions", node="n", signer=KEY) as writer:
        writer.append([RECORD])
    said: list[Event] = []
    answers: list[list[Step]] = [
        [say(answer(503, SECRET.encode()))],
        [say(answer(500, RECORD))],
        [reset],
        [say(answer(429, b"", "Retry-After: 0"))],
    ]
    taken: list[Step] = [say(answer(200, b'{"inserted_count":1}'))]
    with (
        fault_server(*answers * 75, taken) as server,
        engine_for(spool, server.url, said) as engine,
    ):
        wait_until(lambda: len(server.requests) > 300, 60)
        # Minutes pass in no time here: it may be idle before anybody sees that it was up.
        wait_until(lambda: said[-1].name in ("egress.up", "egress.idle"), 20)
        assert engine.broken is None
    names = [event.name for event in said]
    # Before the first answer nobody knows whether it is up.
    assert names[0] == "egress.down", names
    assert names.count("egress.down") == 1, names
    assert len(said) <= 4, names
    told = " ".join(f"{event.message} {event.fields}" for event in said)
    assert SECRET not in told
    assert "nobody" not in told


def test_a_daemons_log_of_an_outage_is_short_and_one_object_a_line(tmp_path: Path) -> None:
    with (
        fault_server([say(answer(503, b"sorry"))]) as server,
        node_for(tmp_path, server.url) as node,
    ):
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append([RECORD])
        node.daemon.start()
        wait_until(lambda: len(server.requests) >= 5, 60)
        node.daemon.stop()
        lines = [json.loads(line) for line in node.log.read_text().splitlines()]
        assert all({"at", "level", "event", "message"} <= set(line) for line in lines)
        assert all("." in line["event"] for line in lines)
        assert sum(line["event"] == "egress.down" for line in lines) == 1
        assert len(lines) < 12, [line["event"] for line in lines]
        text = node.log.read_text()
        assert "nobody" not in text
        assert (node.folder / "license_key").read_text().strip() not in text
