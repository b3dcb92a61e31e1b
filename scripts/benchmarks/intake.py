"""One server in a process of its own: ``ours FOLDER``, or ``reading`` bodies; prints its port.

Both have the same loop, the same protocol and the same server. It ends with its input.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.serving import start_intake
from bridge.intake.counts import IntakeCounts
from bridge.intake.server import IntakeServer
from keys.ed25519 import SigningKey

KEY = SigningKey(bytes(range(32)))
"""It guards nothing."""
_TAKEN = Response(b"{}", media_type="application/json")


class Reading:
    """Reads each body to its end and answers 200; nothing else."""

    counts = IntakeCounts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await _TAKEN(scope, receive, send)


def _ours(folder: Path, held: ExitStack) -> IntakeServer:
    (folder / "spool").mkdir(parents=True)
    path = folder / "bridge.yaml"
    path.write_text("node: bench\nintake: {listen: 127.0.0.1:0}\n")
    config = load(path, {})
    return start_intake(config, KEY, load_license_keys(config, {}), held).server


def main() -> None:
    """Serve until the input ends."""
    with ExitStack() as held:
        if sys.argv[1] == "ours":
            server = _ours(Path(sys.argv[2]), held)
        else:
            server = IntakeServer(Reading(), "127.0.0.1", 0)  # type: ignore[arg-type]
            server.start()
            held.callback(server.stop)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
