"""The commands under torture: how each is run, and what must hold after it met a fault.

Whatever it met, the same command works afterwards, everything verifies, and what was acknowledged is
held, once. Each ``judge`` runs further commands, without faults, and says what is wrong, or nothing.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from running import KINDS, Ended, run
from worlds import RECORDS, STREAM, Trial, World

from keys.errors import BridgeError


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
    wanted = {trial.id(n) for n in range(RECORDS)}
    if (received := set(trial.received())) != wanted:
        return f"lost: {sorted(wanted - received)}, invented: {sorted(received - wanted)}"
    return trial.wrong_spool()


def _daemon(trial: Trial, ended: Ended) -> str:
    again = trial.run("run", "--once")
    if again.code:
        return f"sending ended with {again.code} (first {ended.code}): {again.err}"
    held = trial.held()
    if any(count > 1 for count in held.values()):
        return "a record is held twice"
    safe = {trial.id(n) for n in range(RECORDS)} | trial.traffic.acknowledged
    received = set(trial.received())
    if not safe <= received <= safe | trial.traffic.sent:
        invented = received - safe - trial.traffic.sent
        return f"lost: {sorted(safe - received)}, invented: {sorted(invented)}"
    if (sent := trial.status("delivered")) != len(received):
        return f"{sent} are called delivered, the beacon has {len(received)}"
    if ended.code == 0 and len(trial.traffic.acknowledged) < trial.traffic.WANTED:
        return f"without a fault it took {len(trial.traffic.acknowledged)} records"
    return trial.wrong_spool()


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
    if left := [path.name for path in trial.spool.glob(".importing/*")]:
        return f"left behind: {left}"
    return trial.wrong_spool()


@dataclass(frozen=True, slots=True)
class Case:
    """A command: which machine it runs on, its words, its input, and how its end is judged.

    With ``sends`` each trial has records of its own to send. What ``lasts`` takes records meanwhile,
    and is told to stop; it is not run on full disks. ``kinds`` are the faults that it meets.
    """

    template: Callable[[World], Path]
    words: Callable[[Trial], Sequence[str]]
    judge: Callable[[Trial, Ended], str]
    takes_input: bool = False
    sends: bool = False
    lasts: bool = False
    kinds: Sequence[str] = KINDS

    @contextmanager
    def trial(self, world: World, place: Path) -> Iterator[Trial]:
        """A copy of the machine below ``place``, gone afterwards."""
        home = place / "trial"
        shutil.copytree(self.template(world), home)
        (home / "stick").mkdir()
        trial = Trial(world, home, next(world.numbers))
        if self.sends:
            trial.fill()
        try:
            yield trial
        finally:
            shutil.rmtree(home)

    def go(self, trial: Trial, tracing: Sequence[str] = ()) -> Ended:
        """Run the command, which may meet what it is traced for."""
        return run(
            ["--config", str(trial.home / "bridge.yaml"), *self.words(trial)],
            trial.world.words,
            stdin=trial.world.input if self.takes_input else None,
            tracing=tracing,
            meanwhile=trial.traffic.step if self.lasts else lambda _: None,
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
    "run": Case(lambda w: w.online, lambda _: ("run", "--once"), _run_once, sends=True),
    "daemon": Case(
        lambda w: w.online, lambda _: ("run",), _daemon, sends=True, lasts=True, kinds=("SIGKILL",)
    ),
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
