"""A small world in which the beacon's own name leads to this machine.

It is for programs that ask for that name and can be told no other. It has loopback and nothing else,
and a hosts file of its own. Where a kernel allows nobody to make such a world, there is none.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

NAME = "beacon.langchain.com"
_INSIDE = ("--user", "--net", "--mount")
_BEGIN = 'ip link set lo up && mount --bind "$1" /etc/hosts && echo ready && exec cat'


def is_allowed() -> bool:
    """Whether such a world can be made here."""
    programs = ("unshare", "nsenter", "ip", "mount")
    if any(shutil.which(program) is None for program in programs):
        return False
    trying = ["unshare", "--map-root-user", *_INSIDE, "ip", "link", "set", "lo", "up"]
    return subprocess.run(trying, capture_output=True, check=False).returncode == 0


class World:
    """Runs programs inside; those that are still there at the end are ended."""

    def __init__(self, process: int, ended: ExitStack) -> None:
        self._enter = ["nsenter", "--target", str(process), "--preserve-credentials", *_INSIDE]
        self._ended = ended

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end."""
        return subprocess.run(
            [*self._enter, *command], capture_output=True, text=True, check=False, timeout=60
        )

    def start(
        self, command: list[str], log: Path, settings: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program that writes to ``log``."""
        with log.open("ab") as opened:
            process = subprocess.Popen(
                [*self._enter, *command], stdout=opened, stderr=opened, env=settings
            )
        self._ended.callback(_end, process)
        return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()


@contextmanager
def beacon_is_here(folder: Path) -> Iterator[World]:
    """A world; ``folder`` holds its hosts file."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    begin = ["unshare", "--map-root-user", *_INSIDE, "sh", "-c", _BEGIN, "sh", str(hosts)]
    with subprocess.Popen(begin, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"ready\n"
        try:
            with ExitStack() as ended:
                yield World(keeper.pid, ended)
        finally:
            keeper.kill()
