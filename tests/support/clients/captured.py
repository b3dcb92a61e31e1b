"""Captured requests, sent again byte for byte over a plain socket.

Head and body are as the client sent them; only the host and port are those of the receiver. A body
that was chunked is chunked again.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.support.clients.relay import HOST, Answer, Answers

CAPTURES = Path(__file__).parents[2] / "captures"
CHUNK = 300


@dataclass(frozen=True, slots=True)
class Captured:
    """One request: ``head`` and ``body`` as they were on the wire, but for the chunks."""

    name: str
    method: str
    path: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def client(self) -> str:
        return self.name.partition("/")[0]

    @property
    def stream(self) -> str:
        """The stream that it feeds, if it is one of the beacon's."""
        last = self.path.rpartition("/")[2]
        return {"submit": "langgraph"}.get(last, last)

    @property
    def type(self) -> str:
        """What the client says that its body is; empty: nothing."""
        return {name.lower(): value for name, value in self.headers}.get("content-type", "")

    def wire(self, port: int) -> bytes:
        """Its bytes, for a receiver on ``port``."""
        lines = [f"{self.method} {self.path} {self.version}"]
        chunked = False
        for name, value in self.headers:
            lines.append(f"{name}: {f'{HOST}:{port}' if name.lower() == 'host' else value}")
            chunked |= name.lower() == "transfer-encoding"
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head + (_chunks(self.body) if chunked else self.body)

    def send(self, port: int) -> Answer:
        """Send it; the answer. Raises :class:`OSError` where none comes."""
        answers = Answers()
        with socket.create_connection((HOST, port), timeout=20) as connection:
            connection.sendall(self.wire(port))
            while not answers.whole:
                piece = connection.recv(65536)
                if not piece:
                    raise ConnectionError("the connection ended without an answer")
                answers.parser.feed_data(piece)
        ((_, status, headers, body),) = answers.whole
        return Answer(status, headers, body)


def captured() -> list[Captured]:
    """Every captured request, in the order of their names."""
    found = []
    for said_in in sorted(CAPTURES.glob("*/*.json")):
        body = said_in.with_suffix(".body")
        if body.exists():  # the vendor's examples are bodies alone
            said = orjson.loads(said_in.read_bytes())
            found.append(
                Captured(
                    f"{said_in.parent.name}/{said_in.stem}",
                    said["method"],
                    said["path"],
                    said["version"],
                    tuple((name, value) for name, value in said["headers"]),
                    body.read_bytes(),
                )
            )
    return found


def _chunks(body: bytes) -> bytes:
    pieces = [body[first : first + CHUNK] for first in range(0, len(body), CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
