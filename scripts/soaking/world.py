"""The processes of a soak: beacon, daemon, producers; each can be killed and comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from producer import LICENSE, PATHS

START_S = 120.0
_PRODUCER = Path(__file__).with_name("producer.py")
_BRIDGE = (sys.executable, "-m", "bridge.cli.main")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


class World:
    """Everything below ``folder``; the node's spool is at ``spool``."""

    def __init__(self, folder: Path, spool: Path) -> None:
        self.folder = folder
        self.spool = spool
        self.beacon_port, self.port = free_port(), free_port()
        self.node = folder / "node"
        self.log = (folder / "log").open("ab")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._generation = 0
        self.bridge("init", str(self.node), "--node", "soak", "--beacon", self.beacon_url)
        (self.node / "license_key").write_text(LICENSE)
        (self.node / "license_key").chmod(0o600)
        config = self.node / "bridge.yaml"
        text = config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{self.port}")
        spool_line = f"spool: {{path: {spool}, max_size: 8MiB, min_free: 4MiB, ballast: 2MiB, "
        text = text.replace("spool: {path: spool}", spool_line + "seal: {age: 2s}}")
        config.write_text(text + f"admin: {{listen: 127.0.0.1:{free_port()}}}\n")

    @property
    def beacon_url(self) -> str:
        """Where the beacon is."""
        return f"http://127.0.0.1:{self.beacon_port}"

    def bridge(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the node to its end."""
        config = () if arguments[0] == "init" else ("--config", str(self.node / "bridge.yaml"))
        return subprocess.run(  # noqa: S603 - our own command
            [*_BRIDGE, *config, *arguments], check=False, capture_output=True
        )

    def start(self, name: str) -> None:
        """Start ``beacon``, ``daemon`` or the producer of a stream, unless it runs."""
        running = self._running.get(name)
        if running is not None and running.poll() is None:
            return
        command: Sequence[str]
        if name == "beacon":
            listen = f"127.0.0.1:{self.beacon_port}"
            data = str(self.folder / "beacon")
            command = (*_BRIDGE, "testbeacon", "--listen", listen, "--data", data)
        elif name == "daemon":
            command = (*_BRIDGE, "--config", str(self.node / "bridge.yaml"), "run")
        else:
            self._generation += 1
            notes = str(self.folder / f"{name}.notes")
            own = f"{name}{self._generation}"
            command = (sys.executable, str(_PRODUCER), str(self.port), name, notes, own)
        self._running[name] = subprocess.Popen(  # noqa: S603 - our own programs
            command, stdout=self.log, stderr=self.log
        )

    def start_all(self) -> None:
        """Whatever does not run."""
        for name in ("beacon", "daemon", *PATHS):
            self.start(name)

    def start_all_but_producers(self) -> None:
        """The beacon and the daemon."""
        self.start("beacon")
        self.start("daemon")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End it, by SIGKILL unless told otherwise, and wait for its end."""
        running = self._running.pop(name, None)
        if running is not None:
            running.send_signal(number)
            running.wait()

    def faults(self, *faults: dict[str, object]) -> None:
        """Tell the beacon how to answer; nothing where it is away."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.beacon_url}/_beacon/faults",
            data=json.dumps(faults).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        with suppress(OSError):
            urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - as above

    def wait_for_beacon(self) -> None:
        """Until it answers."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.beacon_port), 1):
                return
            time.sleep(0.1)
        raise TimeoutError("the beacon does not come back")

    def end(self) -> None:
        """End everything that was started."""
        for name in list(self._running):
            self.kill(name, signal.SIGTERM if name == "daemon" else signal.SIGKILL)
        self.log.close()

    def fill_disk(self) -> Path:
        """Take what is left of the spool's file system; the file that takes it."""
        filler = self.spool.parent / "filler"
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while os.statvfs(filler).f_bavail:
                file.write(b"x" * 65536)
        return filler
