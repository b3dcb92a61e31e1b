"""Each promise names tests that there are, and breaks that can still be made."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((ROOT / "scripts" / "promises").glob("*.patch"))
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "promises.md").read_text(), flags=re.MULTILINE)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| `(\d-[\w-]+)` \| (.+) \|$", re.MULTILINE)


@cache
def names_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_there_are_eight_promises_in_their_order() -> None:
    assert [section.partition(". ")[0] for section in SECTIONS] == list("12345678")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition(".")[0])
def test_every_test_that_a_promise_names_exists(section: str) -> None:
    named = NAMED.findall(section)
    assert len(named) > 3
    for path, name in named:
        assert name.startswith("test_")
        assert name in names_of(path), name


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition(".")[0])
def test_each_promise_has_its_breaks_with_the_tests_that_notice(section: str) -> None:
    number = section.partition(".")[0]
    said = {
        name: [f"{path}::{test}" for path, test in NAMED.findall(tests)]
        for name, tests in ROW.findall(section)
    }
    committed = {
        path.stem: re.findall(r"^Test: (\S+)$", path.read_text(), re.MULTILINE)
        for path in PATCHES
        if path.name.startswith(f"{number}-")
    }
    assert committed
    assert said == committed


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_every_break_still_applies(patch: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--check", str(patch)],
        cwd=ROOT,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"make it anew: {done.stderr}"


def small_project(folder: Path) -> Path:
    """A project of one line, its test, and the program that breaks promises."""
    for room in ("keys", "spool", "bridge"):
        (folder / room).mkdir(parents=True)
        (folder / room / "__init__.py").write_text("answer = 42\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(
        "import keys, spool\n\ndef test_it():\n    assert keys.answer == 42\n"
    )
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    (folder / "scripts" / "promises").mkdir(parents=True)
    for name in ("break-promise", "offline"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    return folder


def break_of(room: str) -> str:
    return (
        "It says something else.\n\nTest: tests/test_it.py::test_it\n\n"
        f"diff --git a/{room}/__init__.py b/{room}/__init__.py\n"
        f"--- a/{room}/__init__.py\n+++ b/{room}/__init__.py\n"
        "@@ -1 +1 @@\n-answer = 42\n+answer = 43\n"
    )


@pytest.mark.parametrize(("room", "code"), [("keys", 0), ("spool", 1)])
def test_a_break_that_its_test_does_not_notice_is_a_failure(
    tmp_path: Path, room: str, code: int
) -> None:
    project = small_project(tmp_path / "project")
    (project / "scripts" / "promises" / "1-another-answer.patch").write_text(break_of(room))
    done = subprocess.run(
        [sys.executable, "scripts/break-promise", "1"],
        cwd=project,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # its one test needs none
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("nobody noticed" in done.stdout) == (code == 1)
