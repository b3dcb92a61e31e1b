"""Everything goes wrong for half an hour; then nothing does, and the books must balance."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from books import balance
from producer import PATHS
from world import World

MINUTES = 30.0
CALM_S = 2.0
"""Seconds between two faults, at most."""
DRAIN = "15m"
INGEST, SUBMIT = "/v1/beacon/ingest-traces", "/v1/beacon/metadata/submit"
PORTAL = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>Sign in</html>"}


def answers(world: World, dice: random.Random) -> None:
    """The beacon answers what it should not, a few times."""
    kinds: list[dict[str, object]] = [
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 500},
        {"status": 503},
        {"status": 422},
        {"status": 413},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_s": 1.5},
        PORTAL,
    ]
    fault = {"path": dice.choice(["*", INGEST, SUBMIT]), "times": dice.randint(1, 5)} | dice.choice(
        kinds
    )
    world.faults(fault)


def outage(world: World, dice: random.Random) -> None:
    """The beacon is killed, and away for some seconds."""
    world.kill("beacon")
    time.sleep(dice.uniform(0.5, 8))
    world.start("beacon")
    world.wait_for_beacon()


def crash(world: World, dice: random.Random) -> None:
    """The daemon is killed, and started again."""
    world.kill("daemon")
    time.sleep(dice.uniform(0, 2))
    world.start("daemon")


def producer_crash(world: World, dice: random.Random) -> None:
    """A producer is killed; another takes its place."""
    name = dice.choice(list(PATHS))
    world.kill(name)
    world.start(name)


def full_disk(world: World, dice: random.Random) -> None:
    """Somebody else fills the spool's disk, and makes room again."""
    filler = world.fill_disk()
    time.sleep(dice.uniform(1, 6))
    filler.unlink()


def long_outage(world: World, dice: random.Random) -> None:
    """The beacon is away until the spool is full, or half a minute."""
    world.kill("beacon")
    time.sleep(dice.uniform(20, 40))
    world.start("beacon")
    world.wait_for_beacon()


TROUBLES: list[Callable[[World, random.Random], None]] = [
    *[answers] * 8,
    *[outage] * 3,
    *[crash] * 3,
    *[producer_crash] * 2,
    *[full_disk] * 2,
    *[long_outage] * 2,
]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 MiB, where this machine lets us mount one; else a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    if not mounted:
        sys.stderr.write("soak: no file system can be mounted here; the disk will not be full\n")
        TROUBLES.remove(full_disk)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


def trouble(world: World, minutes: float, dice: random.Random) -> Counter[str]:
    """Faults, one after the other, for so long; how often each came."""
    done: Counter[str] = Counter()
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        chosen = dice.choice(TROUBLES)
        chosen(world, dice)
        done[chosen.__name__] += 1
        time.sleep(dice.uniform(0, CALM_S))
        world.start_all()
    return done


def settle(world: World) -> tuple[list[str], dict[str, int]]:
    """No more faults, no more records; everything is sent.

    What is left, in words, and the lines that are in doubt, by stream.
    """
    for name in PATHS:
        world.kill(name)
    world.start_all_but_producers()
    world.wait_for_beacon()
    world.faults()
    problems = []
    for arguments in (
        ("replay",),
        ("status", "--wait", "drained", "--timeout", DRAIN),
        ("replay", "--state", "quarantined"),
        ("status", "--wait", "drained", "--timeout", DRAIN),
    ):
        done = world.bridge(*arguments)
        if done.returncode not in (0, 3):
            problems.append(f"bridge {' '.join(arguments)}: {done.returncode} {done.stderr!r}")
    checked = world.bridge("verify", str(world.spool))
    if checked.returncode != 0:
        problems.append(f"bridge verify: {checked.returncode} {checked.stdout[-2000:]!r}")
    status = json.loads(world.bridge("status", "--json").stdout)
    in_doubt = {}
    for lane in status["lanes"]:
        records = lane["records"]
        in_doubt[lane["stream"]] = records["in_doubt"]
        if records["pending"] or records["quarantined"]:
            problems.append(f"{lane['stream']} is not settled: {records}")
    return problems, in_doubt


def main() -> None:
    """Run, print the books, end with 1 where they do not balance."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of trouble (default: 30)")
    parser.add_argument("--seed", type=int, default=None, help="the same troubles again")
    parser.add_argument("--keep", type=Path, help="leave everything in this new folder")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"soak: {given.minutes:g} minutes, --seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as made:
        folder = Path(made) if given.keep is None else given.keep
        folder.mkdir(exist_ok=True)
        with small_disk(folder / "disk") as disk:
            world = World(folder, disk / "spool")
            try:
                world.start_all()
                world.wait_for_beacon()
                done = trouble(world, given.minutes, random.Random(seed))  # noqa: S311 - dice
                problems, in_doubt = settle(world)
            finally:
                world.end()
            problems += balance(folder, world.spool, in_doubt)
    print(f"troubles: {dict(done.most_common())}")
    for problem in problems:
        print(f"WRONG: {problem}")
    print("soak: the books balance" if not problems else "soak: the books do NOT balance")
    sys.exit(bool(problems))


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main()
