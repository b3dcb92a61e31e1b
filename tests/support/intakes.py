"""An intake in this process, on loopback, as its configuration makes it; with its own spool."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.serving import start_intake
from bridge.intake.counts import IntakeCounts
from keys.ed25519 import SigningKey
from tests.support.stored import open_lines

LICENSE = "lcl_EXAMPLE_NOT_A_KEY"
DATA_PLANE = "data-plane-EXAMPLE"


class RunningIntake:
    """Where it listens, its spool, its counts."""

    def __init__(self, spool: Path, port: int, counts: IntakeCounts) -> None:
        self.spool = spool
        self.port = port
        self.counts = counts

    def send(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """POST ``body`` as JSON; the answer's status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {"Content-Type": "application/json"} | dict(headers or {})
            connection.request("POST", path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stored(self, stream: str) -> list[bytes]:
        """What is in the stream's open files at this moment, as a crash would find it."""
        return open_lines(self.spool, stream)


@contextmanager
def intake_with(
    folder: Path,
    more: str = "",
    environment: Mapping[str, str] | None = None,
    *,
    signer: SigningKey | None = None,
) -> Iterator[RunningIntake]:
    """A running intake of the node ``n`` whose configuration holds ``more``.

    ``license_key`` and ``data_plane`` are files that ``more`` may name.
    """
    (folder / "license_key").write_text(LICENSE)
    (folder / "data_plane").write_text(DATA_PLANE)
    (folder / "spool").mkdir(exist_ok=True)
    path = folder / "bridge.yaml"
    listen = "" if "intake:" in more else "intake: {listen: 127.0.0.1:0}\n"
    path.write_text(f"node: n\n{listen}{more}")
    config = load(path, environment or {})
    with ExitStack() as held:
        key, licenses = signer or SigningKey.generate(), load_license_keys(config, {})
        server = start_intake(config, key, licenses, held).server
        yield RunningIntake(config.spool.path, server.port, server.counts)
