"""A node with a real daemon in a process of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.demo.clients import LICENSE
from bridge.demo.processes import Service, free_port
from tests.support.forks import ForkedService, forked_command


@dataclass(frozen=True, slots=True)
class Node:
    """A node's folder, and its daemon, which is not started yet."""

    folder: Path
    config: Path
    name: str
    daemon: Service
    log: Path

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def bridge(self, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
        """Run a command of this node to its end."""
        return subprocess.run(
            [*forked_command(), "--config", str(self.config), *arguments],
            input=stdin.decode(),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env={**os.environ},
        )


@contextmanager
def node_for(
    folder: Path,
    url: str,
    *,
    name: str = "n",
    more: str = "",
    service: type[Service] = ForkedService,
) -> Iterator[Node]:
    """A new node below ``folder`` that sends to ``url``; its daemon is stopped at the end."""
    home = folder / f"node-{name}"
    subprocess.run(
        [
            *forked_command(),
            "init",
            str(home),
            "--node",
            name,
            "--beacon",
            url,
        ],
        check=True,
        capture_output=True,
    )
    (home / "license_key").write_text(LICENSE)
    port = free_port()
    config = home / "bridge.yaml"
    text = config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{port}")
    # A folder of the machine may hold several nodes at once.
    config.write_text(text + f"admin: {{listen: 127.0.0.1:{free_port(port)}}}\n" + more)
    log = folder / f"daemon-{name}.log"
    daemon = service(port, log, ["--config", str(config), "run"])
    try:
        yield Node(home, config, name, daemon, log)
    finally:
        daemon.stop()


def told(node: Node, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """What a command of ``node`` answers with ``--json``."""
    done = node.bridge(*map(str, words), "--json")
    assert done.returncode == code, (words, done.stdout, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def trust(here: Node, there: Node, role: str) -> None:
    """Have ``here`` trust the keys of ``there``."""
    shown, public = told(there, "keys", "show"), there.folder / "keys" / "node.pub.pem"
    told(
        here, "keys", "trust", public, "--role", role, "--name", there.name,
        "--fingerprint", shown["id"], "--age", shown["age"],
    )  # fmt: skip
