"""An attack as data: how to make its defect, the command that meets it, and how that must end.

The command line runs in this process, as ``bridge`` itself calls it; what it cost is measured. A twin
differs in the defect alone, and is taken: so it is the defect that was refused.
"""

import contextlib
import hashlib
import io
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.cli import main
from bridge.transfer.agefile import make_identity
from keys.ed25519 import PublicKey, SigningKey
from keys.truststore import TRUST_NAME, TrustStore
from tests.golden.build import HERE as GOLDEN
from tests.support.commands import SECRET, Told

MEMORY_MAX = 32 * 1024 * 1024
"""Bytes that a command may take beyond what the process had, whatever it meets."""
CPU_MAX_S = 5.0
"""Seconds of processor for a command; the slowest takes a tenth."""

Command = Sequence[str | Path]


def golden_key(name: str) -> SigningKey:
    """A key of the golden files: signer, stranger or successor."""
    return SigningKey(bytes.fromhex((GOLDEN / "keys" / f"{name}.seed").read_text("ascii")))


@dataclass(frozen=True, slots=True)
class Home:
    """A machine's folder, with a configuration that runs."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "bridge.yaml"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def stick(self) -> Path:
        """Where files of others are laid; no part of :meth:`state`."""
        found = self.folder / "stick"
        found.mkdir(exist_ok=True)
        return found

    def put(self, name: str, data: bytes) -> Path:
        """A file of others."""
        path = self.stick / name
        path.write_bytes(data)
        return path

    def trust(self, role: str, name: str, key: PublicKey, age: str | None = None) -> None:
        """As if it had been trusted by hand."""
        path = self.keys / TRUST_NAME
        TrustStore.load(path).with_key(role, name, key, key.id, age).save(path)

    def run(self, *arguments: str | Path, cpu_max_s: float = CPU_MAX_S) -> Told:
        """Run a command with this configuration; it keeps to the bounds on memory and time."""
        with measured() as cost:
            told = run("--config", self.config, *arguments)
        took = cost()
        assert took.memory < MEMORY_MAX, (arguments, took)
        assert took.cpu_s < cpu_max_s, (arguments, took)
        return told

    def state(self) -> Mapping[str, str]:
        """A digest of every file of spool and keys, and of what the ledger says."""
        found = {}
        for top in (self.spool, self.keys):
            for path in sorted(top.rglob("*")):
                name = str(path.relative_to(self.folder))
                if path.name.startswith("ledger.db"):
                    continue
                kind = path.lstat().st_mode
                held = b""
                if path.is_symlink():
                    held = str(path.readlink()).encode()
                elif path.is_file():
                    held = path.read_bytes()
                found[name] = f"{kind:o} {hashlib.sha256(held).hexdigest()}"
        found["ledger"] = "\n".join(_said_by(self.spool / "ledger.db"))
        return found

    def changed_since(
        self, before: Mapping[str, str], but: tuple[str, ...] = ()
    ) -> AbstractSet[str]:
        """What differs from an earlier :meth:`state`, but for names that begin with one of ``but``."""
        after = self.state()
        names = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        return {name for name in names if not name.startswith(but or ("\0",))}


def _said_by(ledger: Path) -> Iterator[str]:
    if ledger.exists():
        with contextlib.closing(sqlite3.connect(ledger)) as database:
            yield from database.iterdump()


def make_home(folder: Path, node: str, key: SigningKey, more: str = "") -> Home:
    """A machine of this name and key that has no way out; its ledger is there already."""
    home = Home(folder)
    home.keys.mkdir(parents=True)
    home.spool.mkdir()
    home.config.write_text(
        f"node: {node}\nlicense_key_file: license_key\nbeacon: {{url: http://127.0.0.1:1}}\n"
        f"egress: {{mode: offline}}\n{more}"
    )
    (home.folder / "license_key").write_text(SECRET)
    (home.keys / "node.pem").write_bytes(key.pem())
    (home.keys / "node.pem").chmod(0o600)
    (home.keys / "node.pub.pem").write_bytes(key.public.pem())
    make_identity(home.keys)
    assert home.run("import", "--dry-run", home.folder / "nothing").code != 0
    return home


def run(*arguments: str | Path) -> Told:
    """The command line in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe")
    handlers = logging.getLogger().handlers
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run([str(each) for each in arguments])
    logging.getLogger().handlers = handlers
    shown, noted = (each.buffer.getvalue() for each in (out, err))
    return Told(code, shown, noted.decode())


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: bytes of memory beyond what there was, seconds of processor."""

    memory: int
    cpu_s: float


@contextlib.contextmanager
def measured() -> Iterator[Callable[[], Cost]]:
    """Measures what is done within; to be asked afterwards."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present, from now on
    before, start = _status("VmRSS"), time.process_time()
    cost: list[Cost] = []
    yield lambda: cost[0]
    cost.append(Cost(_status("VmHWM") - before, time.process_time() - start))


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def ids(told: Told) -> list[str]:
    """The ids of all errors and problems in an answer, whether in JSON or for people."""
    try:
        answer = orjson.loads(told.out)
    except orjson.JSONDecodeError:
        return re.findall(r"^error: .* \[([a-z0-9_.]+)\]$", told.err, re.MULTILINE)
    return list(_ids(answer))


def _ids(value: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of JSON
    if isinstance(value, dict):
        if "hint" in value and "id" in value:
            yield value["id"]
        for each in value.values():
            yield from _ids(each)
    elif isinstance(value, list):
        for each in value:
            yield from _ids(each)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: ``number`` in the list, what is wrong, and how it must end.

    ``made`` lays the defect into a home and says which command meets it; ``twin`` does the same
    without the defect. ``changes`` are beginnings of names in :meth:`Home.state` that may differ
    afterwards: what is good beside the defect is taken, what is bad is set aside.
    """

    number: int
    name: str
    made: Callable[[Home], Command]
    error: str
    code: int
    twin: Callable[[Home], Command]
    changes: tuple[str, ...] = ()
    cpu_max_s: float = CPU_MAX_S

    @property
    def id(self) -> str:
        """The end of the test's name."""
        return f"{self.number:03d}-{self.name}"


def each(attacks: Sequence[Attack]) -> pytest.MarkDecorator:
    """One test for each attack, with its number in the name."""
    assert len({attack.id for attack in attacks}) == len(attacks)
    return pytest.mark.parametrize("attack", [pytest.param(a, id=a.id) for a in attacks])


class Arena:
    """Where attacks of one chapter are tried: ``home`` makes a fresh machine in a folder."""

    def __init__(self, folder: Path, home: Callable[[Path], Home]) -> None:
        self._folder = folder
        self._home = home
        self._taken: dict[Callable[[Home], Command], Told] = {}
        self._count = 0

    def fresh(self) -> Home:
        """A machine that nothing happened to."""
        self._count += 1
        return self._home(self._folder / f"{self._count:04d}")

    def check(self, attack: Attack) -> Told:
        """Try ``attack`` and its twin; what the attack was answered."""
        if attack.twin not in self._taken:
            home = self.fresh()
            self._taken[attack.twin] = home.run(*attack.twin(home))
        taken = self._taken[attack.twin]
        assert (taken.code, ids(taken)) == (0, []), f"the twin is refused: {taken}"
        home = self.fresh()
        command = attack.made(home)
        before = home.state()
        told = home.run(*command, cpu_max_s=attack.cpu_max_s)
        assert attack.error in ids(told), told
        assert told.code == attack.code, told
        assert home.changed_since(before, attack.changes) == set()
        return told
