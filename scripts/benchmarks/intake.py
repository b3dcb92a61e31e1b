"""One server in a process of its own: ``ours FOLDER``, ``reading`` or ``short``; prints its port.

``reading`` reads bodies and answers as the framework does it, ``short`` as we do it. All have the same
loop, the same protocol and the same server. ``tls FOLDER PAIR`` is ours with the certificate in
``PAIR``, looked for anew at each line of input. It ends with its input.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.config import Config, load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.certwatch import tls_for
from bridge.daemon.serving import start_intake
from bridge.garbage import collect_seldom
from bridge.intake.counts import IntakeCounts
from bridge.intake.server import IntakeServer
from bridge.intake.storing import SMALL
from bridge.intake.tls import IntakeTls
from bridge.intake.tlsfolder import CERT
from bridge.intake.tlsfolder import KEY as TLS_KEY
from bridge.intake.whole import Answer, whole_of
from keys.ed25519 import SigningKey
from spool.clock import SYSTEM_CLOCK

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


class Short(Reading):
    """The same, without the framework's messages."""

    _answer = Answer(b"{}", "application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        whole = whole_of(scope, receive)
        if whole is None or whole.take_body(SMALL) is None or not whole.give(self._answer):
            await super().__call__(scope, receive, send)


def _config(folder: Path, more: str = "") -> Config:
    (folder / "spool").mkdir(parents=True)
    path = folder / "bridge.yaml"
    path.write_text(f"node: bench\nintake: {{listen: 127.0.0.1:0{more}}}\n")
    return load(path, {})


def _ours(config: Config, held: ExitStack, tls: IntakeTls | None = None) -> IntakeServer:
    context = None if tls is None else tls.context
    return start_intake(config, KEY, load_license_keys(config, {}), held, tls=context).server


def main() -> None:
    """Serve until the input ends."""
    collect_seldom()
    with ExitStack() as held:
        tls: IntakeTls | None = None
        if sys.argv[1] == "ours":
            server = _ours(_config(Path(sys.argv[2])), held)
        elif sys.argv[1] == "tls":
            pair = Path(sys.argv[3])
            secured = f", tls: {{cert: {pair / CERT}, key: {pair / TLS_KEY}}}"
            config = _config(Path(sys.argv[2]), secured)
            tls = tls_for(config, SYSTEM_CLOCK)
            server = _ours(config, held, tls)
        else:
            bare = Short() if sys.argv[1] == "short" else Reading()
            server = IntakeServer(bare, "127.0.0.1", 0)  # type: ignore[arg-type]
            server.start()
            held.callback(server.stop)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            if tls is not None:
                tls.reload()
                sys.stdout.write("reloaded\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
