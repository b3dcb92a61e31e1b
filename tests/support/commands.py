"""Running the command line as people do: in a process of its own, with a node's folder."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forks import forked_command

ROOT = Path(__file__).parents[2]
SECRET = "lcl_EXAMPLE_NOT_A_KEY"
COMMAND = (sys.executable, "-m", "bridge.cli.main")
"""For a process that is to be started, traced or told to stop; :func:`bridge` takes less time."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended, and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def answer(self) -> Any:  # noqa: ANN401 - a tree of JSON
        """Its JSON."""
        return json.loads(self.out)


def environment() -> Mapping[str, str]:
    """Ours, with the project importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def bridge(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Told:
    """Run a command to its end."""
    done = subprocess.run(
        [*forked_command(), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=90,
        cwd=cwd,
        env=environment(),
    )
    return Told(done.returncode, done.stdout, done.stderr.decode())


def on_a_terminal(arguments: Sequence[str | Path], *, errors: bool = False) -> bytes:
    """What a command shows where stdout is a terminal, or stderr with ``errors``."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if errors else theirs,
        stderr=theirs if errors else subprocess.DEVNULL,
        env=environment(),
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # the other end was closed
            pass
        process.wait(timeout=60)
    os.close(ours)
    return shown


def make_node(folder: Path, name: str = "prod-1") -> Path:
    """The configuration of a new node in ``folder``."""
    told = bridge("init", folder, "--node", name)
    assert told.code == 0, told.err
    (folder / "license_key").write_text(SECRET)
    return folder / "bridge.yaml"
