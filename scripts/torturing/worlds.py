"""The machines under torture, made once, and one trial's copy of one with records of its own."""

import itertools
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from running import Ended, run
from traffic import Traffic

from bridge.demo.clients import LICENSE
from bridge.demo.processes import free_port
from keys.keyfile import read_signing_key
from spool.frames import FrameDecoder
from spool.head import read_head
from spool.lane import Lane
from spool.segment import Segment
from spool.writer import Writer

RECORDS = 12
STREAM = "transactions"
_LINE = b'{"id":"%s-%06d","pad":"%s"}\n'


class World:
    """Template folders of each kind of machine, made once; trials work on copies."""

    def __init__(self, folder: Path, beacon: str) -> None:
        self.folder = folder
        self.words = folder / "words"
        self.words.mkdir()
        self.beacon = beacon
        self.numbers = itertools.count(1)
        """Of trials, so that each has records of its own at the beacon that all of them share."""
        self.intake = free_port()
        self.lines = [_LINE % (b"t", n, b"x" * 300) for n in range(RECORDS)]
        self.input = folder / "input"
        self.input.write_bytes(b"".join(self.lines))
        self.node = self._machine("inside", "egress: {mode: offline}\n")
        self.relay = self._machine("relay-1", "egress: {mode: offline}\n")
        self._trust(self.node, self.relay, "relay", "relay-1")
        self._trust(self.relay, self.node, "node", "inside")
        self.unsealed = self._copy(self.node, "unsealed")
        with Writer(self.unsealed / "spool", STREAM, node="inside") as writer:
            for at in range(0, RECORDS, 4):
                writer.append(line.strip() for line in self.lines[at : at + 4])
        self.sealed = self._copy(self.node, "sealed")
        for at in range(0, RECORDS, 4):
            part = folder / "part"
            part.write_bytes(b"".join(self.lines[at : at + 4]))
            self.bridge(self.sealed, "append", STREAM, str(part))
        carrier = self._copy(self.sealed, "carrier")
        self.bridge(carrier, "export", "--to", str(folder / "crossing.agb"), "--plain")
        self.online = self._copy(self.node, "online")
        config = self.online / "bridge.yaml"
        text = config.read_text().replace("mode: offline", "mode: online")
        config.write_text(text.replace("min_free: 0}", "min_free: 0, seal: {age: 1s}}"))

    def _machine(self, name: str, more: str) -> Path:
        home = self.folder / name
        self._ran(["init", str(home), "--node", name, "--beacon", self.beacon])
        (home / "license_key").write_text(LICENSE)
        (home / "license_key").chmod(0o600)
        config = home / "bridge.yaml"
        text = config.read_text().replace(
            "spool: {path: spool}", "spool: {path: spool, ballast: 0, min_free: 0}"
        )
        text = text.replace("127.0.0.1:8480", f"127.0.0.1:{self.intake}")
        config.write_text(f"{text}admin: {{listen: 127.0.0.1:{free_port()}}}\n{more}")
        return home

    def _trust(self, home: Path, other: Path, role: str, name: str) -> None:
        public = other / "keys" / "node.pub.pem"
        shown = self.bridge(other, "keys", "show", "--json").answer
        self.bridge(
            home, "keys", "trust", str(public), "--role", role, "--name", name,
            "--fingerprint", str(shown["id"]),
        )  # fmt: skip

    def _copy(self, source: Path, name: str) -> Path:
        shutil.copytree(source, self.folder / name)
        return self.folder / name

    def _ran(self, arguments: Sequence[str]) -> Ended:
        ended = run(arguments, self.words)
        if ended.code:
            raise SystemExit(f"torture: bridge {arguments} ended with {ended.code}: {ended.err}")
        return ended

    def bridge(self, home: Path, *arguments: str) -> Ended:
        """Run a command of the machine in ``home``, which must end well."""
        return self._ran(["--config", str(home / "bridge.yaml"), *arguments])


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a command in a folder of its own."""

    world: World
    home: Path
    number: int
    traffic: Traffic = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "traffic", Traffic(self.world.intake, self.id))

    def id(self, n: int) -> str:
        """The ``n``-th id that is this trial's own."""
        return f"t{self.number}-{n:06d}"

    def fill(self) -> None:
        """Seal records of its own: ids from 0 on."""
        key = read_signing_key(self.home / "keys" / "node.pem")
        for begin in range(0, RECORDS, 4):
            with Writer(self.spool, STREAM, node="inside", signer=key) as writer:
                writer.append(b'{"id":"%s"}' % self.id(n).encode() for n in range(begin, begin + 4))

    def received(self) -> Counter[str]:
        """Which of its ids the beacon has, and how often they came."""
        database = self.world.folder / "beacon" / "beacon.db"
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as books:
            rows = books.execute(
                "SELECT id FROM records WHERE stream = ? AND id LIKE ?",
                (STREAM, f"t{self.number}-%"),
            )
            return Counter(found for (found,) in rows)

    def run(self, *arguments: str) -> Ended:
        """Run a command here, without a fault, however it ends."""
        return run(["--config", str(self.home / "bridge.yaml"), *arguments], self.world.words)

    @property
    def spool(self) -> Path:
        """Its spool."""
        return self.home / "spool"

    def held(self, node: str = "inside") -> Counter[bytes]:
        """The lines of all sealed segments up to the head (an imported lane has none)."""
        lane = Lane(self.spool, node, STREAM)
        head = read_head(lane)
        found: Counter[bytes] = Counter()
        for seq in lane.sealed_numbers():
            if head is None or seq <= head.seq:
                with Segment.open(lane.segment(seq)) as segment:
                    for raw, _ in segment.raw_frames(FrameDecoder()):
                        found.update(raw.splitlines(keepends=True))
        return found

    def status(self, state: str) -> int:
        """Records of the lane under test in ``state``."""
        told = self.run("status", "--json").answer
        lanes = [lane for lane in told.get("lanes", ()) if lane["stream"] == STREAM]
        return sum(lane["records"][state] for lane in lanes)

    def wrong_spool(self) -> str:
        """What ``verify`` has against the spool; empty if nothing."""
        told = self.run("verify", str(self.spool))
        return "" if told.code == 0 else f"verify ended with {told.code}: {told.out}{told.err}"


@contextmanager
def beacon(folder: Path) -> Iterator[str]:
    """The reference beacon in a process of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "bridge.cli.main", "testbeacon"]
    command += ["--listen", f"127.0.0.1:{port}", "--data", str(folder / "beacon")]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            process.stdout.readline()  # it says where it listens
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
