"""The story: real requests and thousands of records, kills, an outage, and the books at the end.

Acts in order: everything up; captured requests byte for byte; load from several processes and
through the intake, the daemon killed in the middle; the daemon killed between the beacon's commit and
the ledger's; the beacon gone, more records, the daemon killed again; the beacon back, drained; compare.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import orjson

from bridge.demo import clients
from bridge.demo.books import Line, Notes, compare
from bridge.demo.processes import Service, free_port, run_bridge
from bridge.testbeacon.store import stored_records
from keys.errors import BridgeError

NODE = "demo"
PRODUCERS = 4
RECORDS_EACH = 2000
PAUSE_MS = 60
"""Between the groups of a producer: load over the whole of the story, not one burst."""
INGEST = "/v1/beacon/ingest-traces"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The books at the end, how often the daemon was killed, and how long it all took, seconds."""

    lines: list[Line]
    kills: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether no record is missing."""
        return all(line.lost == 0 and line.produced > 0 for line in self.lines)


class Journey:
    """One run in ``folder``; ``tell`` hears of each act.

    ``tamper`` is called with the spool while the daemon is dead and the beacon away, for whoever
    wants to see that the books notice.
    """

    def __init__(
        self,
        folder: Path,
        random: Random,
        tell: Callable[[str], None],
        tamper: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._random = random
        self._tell = tell
        self._tamper = tamper
        self._notes = folder / "notes"
        self._kills = 0
        self.config = folder / "node" / "bridge.yaml"
        self.database = folder / "beacon" / "beacon.db"

    def run(self) -> Outcome:
        """Tell the whole story. Raises :class:`BridgeError` where it cannot be told."""
        begun = time.monotonic()
        self._notes.mkdir()
        beacon_port = free_port()
        intake_port = free_port(beacon_port)
        with ExitStack() as held:
            beacon, daemon = self._make(beacon_port, intake_port)
            held.callback(beacon.stop)
            held.callback(daemon.stop)
            self._tell("beacon and daemon start")
            beacon.start()
            daemon.start()
            self._tell("requests that real clients sent, byte for byte")
            self._replay_captured(daemon)
            self._tell(f"{PRODUCERS} processes append, clients send; the daemon is killed twice")
            producers = self._start_producers(held)
            sending = _Clients(daemon, self._notes)
            sending.start()
            held.callback(sending.stop)
            for _ in range(2):
                time.sleep(self._random.uniform(0.5, 1.5))
                self._kill(daemon)
                daemon.start()
            self._tell("the daemon is killed between the beacon's commit and its own")
            self._kill_after_commit(beacon, daemon)
            self._tell("the beacon goes away; records keep coming; the daemon is killed again")
            beacon.kill()
            time.sleep(1.5)
            self._kill(daemon)
            self._tamper(self._folder / "node" / "spool")
            daemon.start()
            for process in producers:
                if process.wait():
                    raise BridgeError(
                        "demo.producer", "A producer failed.", f"Look at {self._folder}."
                    )
            sending.stop()
            self._tell("the beacon is back; everything drains")
            beacon.start()
            run_bridge(
                "--config", str(self.config), "status", "--wait", "drained", "--timeout", "45s"
            )
            daemon.stop()
            beacon.stop()
        self._tell("the books are compared")
        lines = compare(self._notes, self.database)
        return Outcome(lines, self._kills, time.monotonic() - begun)

    def _make(self, beacon_port: int, intake_port: int) -> tuple[Service, Service]:
        node = self._folder / "node"
        url = f"http://127.0.0.1:{beacon_port}"
        run_bridge("init", str(node), "--node", NODE, "--beacon", url)
        (node / "license_key").write_text(clients.LICENSE)
        (node / "license_key").chmod(0o600)
        self.config.write_text(
            self.config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{intake_port}")
        )
        data = str(self._folder / "beacon")
        beacon = Service(
            beacon_port,
            self._folder / "beacon.log",
            ["testbeacon", "--listen", f"127.0.0.1:{beacon_port}", "--data", data],
        )
        daemon = Service(
            intake_port, self._folder / "daemon.log", ["--config", str(self.config), "run"]
        )
        return beacon, daemon

    def _replay_captured(self, daemon: Service) -> None:
        notes = Notes(self._notes, "captured")
        for request in clients.captured():
            status = daemon.post(request.path, request.body)
            if status != 200:  # noqa: PLR2004 - taken
                raise BridgeError(
                    "demo.intake",
                    f"The intake answered {status} to a request of {request.client}.",
                    f"Look at {self._folder / 'daemon.log'}.",
                )
            notes.acknowledged(request.stream, request.records)

    def _start_producers(self, held: ExitStack) -> list["subprocess.Popen[bytes]"]:
        found = []
        for number in range(PRODUCERS):
            name = f"producer-{number}"
            log = held.enter_context((self._folder / f"{name}.log").open("wb"))
            arguments = [
                *(str(self._folder / "node" / "spool"), NODE, str(self._notes), name),
                *(str(RECORDS_EACH), str(PAUSE_MS)),
            ]
            command = [sys.executable, "-m", "bridge.demo.producer", *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own
            held.callback(process.wait)
            held.callback(process.terminate)
            found.append(process)
        return found

    def _kill(self, daemon: Service) -> None:
        daemon.kill()
        self._kills += 1

    def _kill_after_commit(self, beacon: Service, daemon: Service) -> None:
        """Have the beacon store and keep silent; kill the daemon that waits for its answer."""
        before = sum(1 for _ in stored_records(self.database, "transactions"))
        faults = [{"path": INGEST, "times": None, "delay_s": 5}]
        beacon.post("/_beacon/faults", orjson.dumps(faults), method="PUT")
        end = time.monotonic() + 15
        while sum(1 for _ in stored_records(self.database, "transactions")) == before:
            if time.monotonic() > end:
                raise BridgeError(
                    "demo.commit", "Nothing reached the beacon.", f"Look at {self._folder}."
                )
            time.sleep(0.05)
        self._kill(daemon)
        beacon.post("/_beacon/faults", b"[]", method="PUT")
        daemon.start()


class _Clients(threading.Thread):
    """Sends marked requests through the intake until told to stop; notes what was acknowledged."""

    def __init__(self, daemon: Service, notes: Path) -> None:
        super().__init__(name="clients", daemon=True)
        self._daemon = daemon
        self._notes = Notes(notes, "clients")
        self._ending = threading.Event()

    def stop(self) -> None:
        """Send no more; returns when the last answer was noted."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Send; an intake that is away is tried again, as clients do, with another mark."""
        requests = list(clients.captured())
        count = 0
        while not self._ending.wait(0.01):
            count += 1
            request = clients.marked(requests[count % len(requests)], f"demo-{count}")
            if count % 25 == 0:
                request = clients.snapshot(count)
            try:
                status = self._daemon.post(request.path, request.body)
            except OSError:
                continue  # not acknowledged, so not in the books
            if status in (200, 204):
                self._notes.acknowledged(request.stream, request.records)
