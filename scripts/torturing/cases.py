"""The commands under torture: how each is prepared, and what must hold after it met a fault.

Whatever it met, the same command works afterwards, everything verifies, and what was acknowledged is
held, once. Each ``judge`` runs further commands, without faults, and says what is wrong, or nothing.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from running import Ended, run

from bridge.demo.clients import LICENSE
from bridge.demo.processes import free_port
from keys.errors import BridgeError
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
        self.online = self._copy(self.sealed, "online")
        config = self.online / "bridge.yaml"
        config.write_text(config.read_text().replace("mode: offline", "mode: online"))

    def _machine(self, name: str, more: str) -> Path:
        home = self.folder / name
        self._ran(["init", str(home), "--node", name, "--beacon", self.beacon])
        (home / "license_key").write_text(LICENSE)
        (home / "license_key").chmod(0o600)
        config = home / "bridge.yaml"
        text = config.read_text().replace(
            "spool: {path: spool}", "spool: {path: spool, ballast: 0, min_free: 0}"
        )
        config.write_text(text + more)
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


def _append(trial: Trial, ended: Ended) -> str:
    told = int(ended.answer.get("records", 0))
    recovered = trial.run("run", "--once")
    if recovered.code:
        return f"recovery ended with {recovered.code}: {recovered.err}"
    held, given = trial.held(), trial.world.lines
    if any(count > 1 for count in held.values()):
        return "a record is held twice"
    if not set(given[:told]) <= set(held) <= set(given):
        return f"{told} were acknowledged, {len(held)} are held"
    return trial.wrong_spool()


def _seal(trial: Trial, _: Ended) -> str:
    again = trial.run("run", "--once")
    if again.code:
        return f"recovery ended with {again.code}: {again.err}"
    if trial.held() != Counter(trial.world.lines):
        return f"{RECORDS} were acknowledged, {sum(trial.held().values())} are held"
    return trial.wrong_spool()


def _run_once(trial: Trial, ended: Ended) -> str:
    again = trial.run("run", "--once")
    if again.code:
        return f"sending ended with {again.code} (first {ended.code}): {again.err}"
    if (sent := trial.status("delivered")) != RECORDS:
        return f"{sent} of {RECORDS} are called delivered"
    received = Counter(_received(trial.world.beacon))
    wanted = {json.loads(line)["id"] for line in trial.world.lines}
    if set(received) != wanted:
        return f"the beacon has {len(received)} of {RECORDS}"
    return trial.wrong_spool()


def _received(beacon: str) -> Iterator[str]:
    with urllib.request.urlopen(f"{beacon}/_beacon/received") as answer:  # noqa: S310 - loopback
        yield from (f"t-{n:06d}" for n in range(json.load(answer)[STREAM]["distinct"]))


def _export(trial: Trial, ended: Ended) -> str:
    stick = trial.home / "stick"
    for bundle in stick.glob("*.agb"):
        if (told := trial.run("verify", str(bundle))).code:
            return f"{bundle.name} looks whole and is not: {told.out}{told.err}"
    exported = trial.status("exported")
    if ended.code == 0 and (exported != RECORDS or not list(stick.glob("*.agb"))):
        return f"it ended well, and {exported} are exported"
    if exported and not list(stick.glob("*.agb")):
        return f"{exported} are called exported, and there is no bundle"
    again = trial.run("export", "--to", str(stick), "--plain", "--json")
    if again.code:
        return f"the next export ended with {again.code}: {again.err}{again.out}"
    if (exported := trial.status("exported")) != RECORDS:
        return f"{exported} of {RECORDS} are exported in the end"
    return trial.wrong_spool()


def _import(trial: Trial, _: Ended) -> str:
    again = trial.run("import", str(trial.world.folder / "crossing.agb"), "--json")
    if again.code:
        return f"the next import ended with {again.code}: {again.err}{again.out}"
    if trial.held() != Counter(trial.world.lines):
        return f"{sum(trial.held().values())} of {RECORDS} are held"
    if (pending := trial.status("pending")) != RECORDS:
        return f"{pending} of {RECORDS} are pending"
    if left := [path.name for path in trial.spool.rglob("*.import")]:
        return f"left behind: {left}"
    return trial.wrong_spool()


@dataclass(frozen=True, slots=True)
class Case:
    """A command: which machine it runs on, its words, its input, and how its end is judged."""

    template: Callable[[World], Path]
    words: Callable[[Trial], Sequence[str]]
    judge: Callable[[Trial, Ended], str]
    takes_input: bool = False

    @contextmanager
    def trial(self, world: World, place: Path) -> Iterator[Trial]:
        """A copy of the machine below ``place``, gone afterwards."""
        home = place / "trial"
        shutil.copytree(self.template(world), home)
        (home / "stick").mkdir()
        try:
            yield Trial(world, home)
        finally:
            shutil.rmtree(home)

    def go(self, trial: Trial, tracing: Sequence[str] = ()) -> Ended:
        """Run the command, which may meet what it is traced for."""
        return run(
            ["--config", str(trial.home / "bridge.yaml"), *self.words(trial)],
            trial.world.words,
            stdin=trial.world.input if self.takes_input else None,
            tracing=tracing,
        )

    def judged(self, trial: Trial, ended: Ended) -> str:
        """What is wrong after it; a fault of the program is always wrong."""
        if '"internal"' in ended.out or "[internal]" in ended.err or "Traceback" in ended.err:
            return f"it failed by a fault of the program: {ended.out}{ended.err}"
        with suppress(BridgeError):
            return self.judge(trial, ended)
        return "the spool cannot be read"


CASES = {
    "append": Case(
        lambda w: w.node, lambda _: ("append", STREAM, "--json"), _append, takes_input=True
    ),
    "seal": Case(lambda w: w.unsealed, lambda _: ("run", "--once"), _seal),
    "run": Case(lambda w: w.online, lambda _: ("run", "--once"), _run_once),
    "export": Case(
        lambda w: w.sealed,
        lambda t: ("export", "--to", str(t.home / "stick"), "--plain", "--json"),
        _export,
    ),
    "import": Case(
        lambda w: w.relay,
        lambda t: ("import", str(t.world.folder / "crossing.agb"), "--json"),
        _import,
    ),
}
"""By the word that chooses it."""


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
