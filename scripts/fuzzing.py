"""Runs one harness of tests/fuzz for as long as told; ends with 1 at the first input that breaks it."""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.harness import Harness

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".venv" / "fuzz"
"""Inputs that reached something new, a folder a harness; the next run begins with them."""
BATCH = 200
WORD_MAX = 64
"""Bytes of a word that libFuzzer takes."""


def main(arguments: Sequence[str]) -> int:
    """Parse ``arguments``, and fuzz."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("name", nargs="?", help="the parser; without one, all are listed")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    options = parser.parse_args(arguments)
    if find_spec("atheris") is not None and options.name is not None:
        return _followed(options.name, options.seconds)
    from tests.fuzz.harnesses import HARNESSES  # noqa: PLC0415 - atheris wants to be first

    if options.name not in HARNESSES:
        for each in HARNESSES.values():
            print(f"{each.name:14} {each.oracle}")
        return 0 if options.name is None else 2
    return _blind(HARNESSES[options.name], options.seconds)


def _followed(name: str, seconds: int) -> int:
    """With atheris, which ends this process itself."""
    atheris = import_module("atheris")  # not everybody has it

    with atheris.instrument_imports(
        include=["keys", "spool", "bridge"], enable_loader_override=False
    ):
        from tests.fuzz.harnesses import HARNESSES  # noqa: PLC0415 - what is imported is watched
    if name not in HARNESSES:
        print(f"scripts/fuzz: there is no {name}", file=sys.stderr)
        return 2
    harness = HARNESSES[name]
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*harness.seeds(), *harness.corpus(), *harness.found().values())):
        (folder / f"known-{number:04d}").write_bytes(data)
    words = folder.with_name(f"{name}.words")
    words.write_text(
        "".join(f'"{_escaped(word)}"\n' for word in harness.words if len(word) <= WORD_MAX)
    )

    def one(data: bytes) -> None:
        harness.tried(data)

    atheris.Setup(
        [
            name, str(folder), f"-dict={words}", f"-artifact_prefix={KEPT}/{name}-",
            f"-max_total_time={seconds}", f"-max_len={harness.size_max}", "-timeout=20",
            "-rss_limit_mb=2048", "-print_final_stats=1",
        ],
        one,
    )  # fmt: skip
    atheris.Fuzz()
    return 0


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _blind(harness: "Harness", seconds: int) -> int:
    name = harness.name
    from tests.fuzz.mutation import mutations  # noqa: PLC0415 - as its caller does

    inputs = [*harness.seeds(), *harness.corpus(), *harness.found().values()]
    end, tried = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        seed = secrets.randbits(63)
        made = mutations(inputs, harness.words, rounds=BATCH, size_max=harness.size_max, seed=seed)
        for data in made:
            tried += 1
            try:
                harness.tried(data)
            except Exception:
                KEPT.mkdir(parents=True, exist_ok=True)
                broken = KEPT / f"{name}-crash-{os.getpid()}"
                broken.write_bytes(data)
                print(f"{harness.oracle} Not of {broken}.", file=sys.stderr)
                raise
    print(f"{name}: {tried} inputs, the sentence held of all.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
