"""Commands in processes of their own, with whatever a test puts around them, and within bounds.

For what cannot be done to the process of the tests: its clocks, its system calls, its user.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

from bridge.demo.processes import Running, Service
from tests.support.attacks import CPU_MAX_S, MEMORY_MAX, Home
from tests.support.commands import COMMAND, Told, environment

KIB = 1024
PYTHON_MAX = 96 * 1024 * 1024
"""Bytes that Python with our modules takes before a command does anything."""
_MEASURED = (
    sys.executable,
    "-B",  # its system calls are counted: none to keep what it compiled
    "-c",
    """
import os, re, resource, sys
from bridge.cli.main import make_sure_of_standard_files, run
make_sure_of_standard_files()
code = run(sys.argv[1:])
peak = re.search("VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1]
open(os.environ["TOOK"], "w").write(f"{peak} {resource.getrusage(resource.RUSAGE_SELF).ru_utime}")
sys.exit(code)
""",
)
"""The command line, which tells at its end what it took: whoever waits for it would be told more."""


def run_apart(
    home: Home,
    *arguments: str | Path,
    under: Sequence[str | Path] = (),
    more: Mapping[str, str] | None = None,
) -> Told:
    """Run a command of ``home`` below the program ``under``, with ``more`` in its environment."""
    with begun_apart(home, *arguments, under=under, more=more) as ended:
        return ended()


@contextmanager
def begun_apart(
    home: Home,
    *arguments: str | Path,
    under: Sequence[str | Path] = (),
    more: Mapping[str, str] | None = None,
) -> Iterator[Callable[[], Told]]:
    """The same while others run; to be asked how it ended."""
    command = [*map(str, under), *_MEASURED, "--config", str(home.config), *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.NamedTemporaryFile() as took,
    ):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**environment(), **(more or {}), "TOOK": took.name},
        )  # fmt: skip

        def ended() -> Told:
            process.wait()
            for file in (out, err):
                file.seek(0)
            told = Told(process.returncode, out.read(), err.read().decode())
            memory, cpu_s = took.read().split()
            assert int(memory) * KIB < PYTHON_MAX + MEMORY_MAX, (arguments, memory)
            assert float(cpu_s) < CPU_MAX_S, (arguments, cpu_s)
            return told

        yield ended


class ServiceApart(Service):
    """A daemon in a process of its own, below the program ``under``, which leaves it our child."""

    under: ClassVar[Sequence[str]] = ()
    process: "subprocess.Popen[bytes]"

    def _begin(self, log: IO[bytes]) -> Running:
        self.process = subprocess.Popen(
            [*self.under, *COMMAND, *self._arguments], stdout=log, stderr=log, env=environment()
        )
        return self.process

    def keeps_to_bounds(self) -> None:
        """What it took until now is within what a command may take."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        (peak,) = (int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:"))
        assert peak * KIB < PYTHON_MAX + MEMORY_MAX, told
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        assert int(fields[11]) / os.sysconf("SC_CLK_TCK") < CPU_MAX_S, fields  # of its own code
