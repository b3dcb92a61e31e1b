"""A real reference beacon on a free loopback port, in a thread or in a process of its own.

In a process it can be killed: ``RunningBeacon.process`` is its handle. The port stays the same for a
second beacon that is given it, so an outage can be made by leaving the context and entering another.
"""

import ssl
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme

from bridge.testbeacon.server import DATABASE, BeaconServer, Tls
from bridge.testbeacon.store import StoredRecord, stored_records
from bridge.testbeacon.tokens import DAY_S

HOST = "127.0.0.1"
LICENSE = "lcl_EXAMPLE_NOT_A_KEY"
STOP_MAX_S = 30
"""Seconds for a beacon to end; it needs less than two, a loaded machine may need more."""

_PROGRAM = """
import sys
from pathlib import Path
from bridge.testbeacon.server import Tls, serve

port, data, life_s, certificate, key, *licenses = sys.argv[1:]
serve("127.0.0.1", int(port), Path(data), licenses=licenses or None, token_life_s=int(life_s),
      tls=Tls(Path(certificate), Path(key)) if certificate else None,
      on_ready=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


@dataclass(frozen=True, slots=True)
class RunningBeacon:
    """Where a beacon is, and what it holds; ``ca_file`` is set with TLS, ``process`` in a process."""

    url: str
    data: Path
    ca_file: Path | None
    process: subprocess.Popen[str] | None

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 0

    @property
    def database(self) -> Path:
        return self.data / DATABASE

    def client(self) -> httpx.Client:
        """A client with the beacon's address and trust; the caller closes it."""
        context = ssl.create_default_context(cafile=self.ca_file)
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=30)

    def received(self) -> dict[str, dict[str, int]]:
        """What ``/_beacon/received`` says."""
        with self.client() as client:
            found: dict[str, dict[str, int]] = client.get("/_beacon/received").json()
            return found

    def set_faults(self, *faults: dict[str, object]) -> None:
        """Replace the list of faults; none clears it."""
        with self.client() as client:
            client.put("/_beacon/faults", json=faults).raise_for_status()

    def records(self, stream: str) -> list[StoredRecord]:
        """What the database holds, read past the beacon."""
        return list(stored_records(self.database, stream))


@contextmanager
def running_beacon(
    data: Path,
    *,
    port: int = 0,
    tls: bool = False,
    licenses: Collection[str] | None = None,
    token_life_s: int = DAY_S,
    process: bool = False,
) -> Iterator[RunningBeacon]:
    """A beacon with ``data`` as its folder, stopped at the end; in a thread unless ``process``."""
    data.mkdir(parents=True, exist_ok=True)
    files, ca_file = _certificate(data) if tls else (None, None)
    if process:
        arguments = [str(port), str(data), str(token_life_s)]
        arguments += [str(files.certificate), str(files.key)] if files else ["", ""]
        with _in_a_process([*arguments, *(licenses or ())]) as (url, handle):
            yield RunningBeacon(url, data, ca_file, handle)
        return
    server = BeaconServer(HOST, port, data, licenses=licenses, token_life_s=token_life_s, tls=files)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda _url: ready.set(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(STOP_MAX_S)
        yield RunningBeacon(server.url, data, ca_file, None)
    finally:
        server.stop()
        thread.join(STOP_MAX_S)
        assert not thread.is_alive()


@contextmanager
def _in_a_process(arguments: list[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as handle:
        try:
            assert handle.stdout is not None
            url = handle.stdout.readline().strip()
            assert url, "the beacon did not start"
            yield url, handle
        finally:
            handle.terminate()
            handle.wait(STOP_MAX_S)


def _certificate(data: Path) -> tuple[Tls, Path]:
    ca_file, files = data / "ca.pem", Tls(data / "tls.pem", data / "tls.key")
    if ca_file.exists():
        return files, ca_file
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "localhost")
    authority.cert_pem.write_to_path(ca_file)
    issued.private_key_pem.write_to_path(files.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.certificate, append=True)
    return files, ca_file
