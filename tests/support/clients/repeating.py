"""Clients that send one request after the other until they are ended, daemon or no daemon."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path

import orjson

from tests.support.clients.captured import Captured
from tests.support.commands import ROOT

PAUSE_S = 0.02
"""Between two requests."""
MARKS_MAX = 20_000
"""Marks that one run of Schemathesis makes at most."""
DESCRIPTION = ROOT / "docs" / "openapi.yaml"


@contextmanager
def repeated(send: Callable[[], object]) -> Iterator[None]:
    """Call ``send`` again and again in a thread; a daemon that went away is no error."""
    ended = threading.Event()
    broken: list[BaseException] = []

    def run() -> None:
        while not ended.wait(PAUSE_S):
            try:
                send()
            except OSError:
                continue
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                broken.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if broken:
        raise broken[0]


def curl(url: str, run: str) -> Callable[[], object]:
    """A function that has curl send one log record with a mark of its own, in a new process."""
    numbers = count()

    def send() -> None:
        mark = f"keep-{run}-curl-{next(numbers):06}"
        record = {"severityNumber": 17, "body": {"stringValue": mark}}
        body = orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
        subprocess.run(
            [
                *(
                    "curl",
                    "--silent",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "30",
                    "--output",
                    "/dev/null",
                ),
                *("-H", "Content-Type: application/json", "--data-binary", "@-"),
                f"{url}/v1/beacon/v1/logs",
            ],
            input=body,
            check=False,  # it fails when the daemon is killed
        )

    return send


def captured_again(requests: Sequence[Captured], port: int) -> Callable[[], object]:
    """A function that sends the next of ``requests``, byte for byte as it was captured."""
    following = cycle(requests)
    return lambda: next(following).send(port)


@contextmanager
def schemathesis(url: str, run: str, folder: Path) -> Iterator[None]:
    """Schemathesis making requests up, each with a mark; what it thinks of the answers is no matter.

    It gives up when the daemon is away, and is begun anew.
    """
    program = Path(sys.executable).parent / "schemathesis"
    command = [
        *(str(program), "run", str(DESCRIPTION), "--url", url, "--checks", "not_a_server_error"),
        *("--phases", "fuzzing", "--max-examples", "100000", "--continue-on-failure"),
        *("--generation-deterministic", "--request-timeout", "10", "--no-shrink", "--no-color"),
    ]
    settings = {
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.support.clients.schemathesis_hooks",
        "MARKED_RUN": run,
    }
    ended = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []
    lock = threading.Lock()

    def begin() -> None:
        with lock:
            if ended.is_set():
                return
            first = {"MARKED_FROM": str(len(processes) * MARKS_MAX)}
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**os.environ, **settings, **first},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        processes[-1].wait()

    with repeated(begin):
        try:
            yield
        finally:
            with lock:
                ended.set()
                for process in processes:
                    process.kill()
