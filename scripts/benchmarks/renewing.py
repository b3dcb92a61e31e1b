"""A hundred certificates, one after the other, while the intake takes a thousand requests a second."""

import asyncio
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from load import keep_pace, post
from rows import Row, at_least
from taking import p99_ms, server, some_logs

from bridge.intake.tlsfolder import CA, CERT, make, renew

HOST = "beacon.langchain.com"
RELOADS = 100
RATE = 1000
"""Requests a second, on connections that stay; beside them a new one for each certificate."""
EVERY_S = 0.1
KEPT_MIN = 0.99


def renewing(folder: Path, _: int) -> list[Row]:
    """The rate that was kept.

    Raises :class:`RuntimeError` for a request that was not taken, and for a new connection that was
    not given the newest certificate.
    """
    place, ca_key = folder / "tls", folder / "ca-key.pem"
    make(place, HOST, ca_key, datetime.now(UTC))
    request = post("/v1/beacon/v1/logs", some_logs())
    context = ssl.create_default_context(cafile=place / CA)
    with server("tls", str(folder / "a"), str(place)) as (port, process):

        async def exchange() -> None:
            loop = asyncio.get_running_loop()
            for _ in range(RELOADS):
                begun = loop.time()
                renew(place, HOST, ca_key, datetime.now(UTC), new_ca=False)
                await loop.run_in_executor(None, _reload, process)
                newest = ssl.PEM_cert_to_DER_cert((place / CERT).read_text())
                if await _served(port, context) != newest:
                    raise RuntimeError("a new connection was given an older certificate")
                await asyncio.sleep(max(0.0, begun + EVERY_S - loop.time()))

        rate, waits = keep_pace(port, request, RATE, exchange, tls=context, host=HOST)
    work = (
        f"requests over TLS while {RELOADS} certificates are exchanged, p99 {p99_ms(waits):.0f} ms"
    )
    return [
        at_least(
            work, "as many as were sent; none failed", [rate], [RATE], "requests/s", bound=KEPT_MIN
        )
    ]


def _reload(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    process.stdin.write(b"reload\n")
    process.stdin.flush()
    if process.stdout.readline() != b"reloaded\n":
        raise RuntimeError("the server did not take the new certificate")


async def _served(port: int, context: ssl.SSLContext) -> bytes | None:
    """The certificate that a new connection is given."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found
