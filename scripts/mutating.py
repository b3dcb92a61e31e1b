"""Runs the tests of one module against each of its mutants, each time in a fork.

usage: mutating.py MODULE.py ANSWER.json TEST...    in a copy of the tree: MODULE.py is replaced there

The tests are imported and collected once. A fork begins where that ended, changes the one function,
and runs only the tests that call it, those first that noticed most changes so far; the first that
fails ends it. Where only a sentence for people is changed, no test is asked. The answer holds every
mutant, what became of it, and its patch.
"""

import gc
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import NoReturn

import libcst
import pytest
from mutmut.mutation.diff_apply import read_mutant_function, read_original_function
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import get_mutant_name, mangled_name_from_mutant_name

NO_MUTANT, COUNTING, BREAKING = "", "stats", "fail"
"""What the tool calls: code as it is; note who calls what; every changed function raises."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
"""Where the tests' files are, if the machine has that: a sync costs nothing there."""
TEXT = re.compile(r'f?"(?:[^"\\]|\\.)*"')
APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
QUERY = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|VALUES|FROM|WHERE|AND|ON|ORDER|UNION)\b")
PATIENCE_S = 20
SLOWER = 10
"""A mutant's tests may take so many times as long as without it, and ``PATIENCE_S`` more."""
OPTIONS = (
    "-q",
    "--rootdir=.",
    "--tb=native",  # nobody reads why a test failed
    "--assert=plain",
    "--hypothesis-profile=ci",
    "--timeout=0",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
)


class Mutating:
    """In the place of pytest's own loop over the tests."""

    def __init__(self, mutants: Sequence[str]) -> None:
        self.mutants = mutants
        self.found: dict[str, str] = {}
        self._failed: Callable[[], NoReturn] | None = None
        self._noticed: Counter[int] = Counter()
        self._lasted: list[float] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Look who calls what, then try one mutant after the other."""
        if session.testsfailed:
            return None
        gc.collect()
        gc.freeze()
        status, told = self._forked(COUNTING, lambda: self._counted(session.items), None)
        if status:
            raise pytest.UsageError("the tests fail as they are: " + told.decode())
        calls = []
        for called, lasted in json.loads(told):
            calls.append(frozenset(called))
            self._lasted.append(lasted)
        if self._try(session.items, BREAKING, range(len(session.items))) != "killed":
            raise pytest.UsageError("no test notices when every function fails")
        for mutant in self.mutants:
            function = mangled_name_from_mutant_name(mutant)
            callers = [number for number, called in enumerate(calls) if function in called]
            self.found[mutant] = (
                self._try(session.items, mutant, callers) if callers else "no tests"
            )
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failed test ends its fork."""
        if report.failed and self._failed is not None:
            self._failed()

    def _counted(self, items: Sequence[pytest.Item]) -> bytes:
        """Which functions each test calls, and how long it takes."""
        told = []
        for item in items:
            self._failed = lambda item=item: _end(1, item.nodeid.encode())
            state()._stats.clear()  # noqa: SLF001 - the tool has no other way
            began = time.monotonic()
            _run(item, None)  # what tests share is made for each, so that each is seen to need it
            told.append((sorted(state()._stats), time.monotonic() - began))  # noqa: SLF001
        return json.dumps(told).encode()

    def _try(self, items: Sequence[pytest.Item], mutant: str, callers: Sequence[int]) -> str:
        order = sorted(callers, key=lambda number: (-self._noticed[number], self._lasted[number]))

        def tests() -> bytes:
            for number, following in zip(order, [*order[1:], None], strict=True):
                self._failed = lambda number=number: _end(1, b"%d" % number)
                _run(items[number], None if following is None else items[following])
            return b""

        limit_s = PATIENCE_S + SLOWER * sum(self._lasted[number] for number in callers)
        status, told = self._forked(mutant, tests, limit_s)
        if told:
            self._noticed[int(told)] += 1
        if status is None:
            return "timeout"
        return "killed" if status else "survived"

    def _forked(
        self, mutant: str, work: Callable[[], bytes], limit_s: float | None
    ) -> tuple[int | None, bytes]:
        """How a fork that does ``work`` ended, None if it was too slow, and what it told."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os.close(reading)
            os.setpgid(0, 0)
            _TELL.append(writing)
            status, told = 3, b""
            try:
                set_mutant_under_test(mutant)
                status, told = 0, work()
            finally:
                _end(status, told)
        os.close(writing)
        ended = False
        try:
            with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
                ended = bool(select.select([pipe], [], [], limit_s)[0])
                told = pipe.read() if ended else b""
        finally:
            if ended:
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            # What it started ends with it; until it is waited for, its number is nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return (status if ended else None), told


_TELL: list[int] = []
"""In a fork: where it tells."""


def _end(status: int, told: bytes) -> NoReturn:
    """End a fork, without what a process does at its end."""
    with open(_TELL[0], "wb") as pipe:  # noqa: PTH123 - a descriptor
        pipe.write(told)
    os._exit(status)


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def main(module: str, answer: str, *tests: str) -> int:
    """Try all mutants of ``module``."""
    path = Path(module)
    source = path.read_text(encoding="utf-8")
    mutated = mutate_file_contents(module, source)
    mutants = [get_mutant_name(path, name) for name in mutated.mutant_names]
    patches = dict(_patches(mutated.code, mutants, module))
    words = {each for each in mutants if only_words(patches[each])}
    mutating = Mutating(
        [each for each in mutants if each not in words or QUERY.search(patches[each])]
    )
    set_mutant_under_test(NO_MUTANT)
    path.write_text(mutated.code, encoding="utf-8")
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as files:
            # One fork after the other begins it anew.
            status = pytest.main(
                [*OPTIONS, f"--basetemp={files}/tests", *tests], plugins=[mutating]
            )
    finally:
        path.write_text(source, encoding="utf-8")
    told = []
    for mutant in mutants:
        became = mutating.found.get(mutant, "words")
        if became == "survived" and mutant in words:
            became = "words"
        told.append((mutant, became, patches[mutant]))
    Path(answer).write_text(json.dumps(told), encoding="utf-8")
    return int(status)


def _patches(code: str, mutants: Sequence[str], name: str) -> Iterator[tuple[str, str]]:
    """Each mutant with what it changes."""
    tree = libcst.parse_module(code)
    for mutant in mutants:
        functions = read_original_function(tree, mutant), read_mutant_function(tree, mutant)
        old, new = (libcst.Module([each]).code.strip().split("\n") for each in functions)
        yield mutant, "\n".join(unified_diff(old, new, name, name, lineterm=""))


def only_words(patch: str) -> bool:
    """Whether a change is in a sentence for people, or in the case of a query's letters.

    Tests hold ids, never wording.
    """
    old, new = (
        [TEXT.sub(_without_prose, line[1:]) for line in patch.splitlines() if re.match(mark, line)]
        for mark in (r"-(?!--)", r"\+(?!\+\+)")
    )
    return old == new


def _without_prose(text: re.Match[str]) -> str:
    """A literal as it is, or what stands for every sentence; a query's holds quotes."""
    is_prose = " " in text.group() and "'" not in APOSTROPHE.sub("", text.group())
    return "None" if is_prose else text.group()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
