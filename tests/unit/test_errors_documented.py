"""Every error id is documented, with the exit code of its class and both of its sentences.

The page is made by ``scripts/errors``, and another test compares the two. Here it is held against
what that program does not look at: the classes as they are at run time, the ids that docstrings
promise and that tests and golden files expect.
"""

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge
import keys
import spool
from keys.errors import BridgeError

ROOT = Path(__file__).parents[2]
ROOMS = (keys, spool, bridge)
_ROW = re.compile(
    r"\| `([^`]+)` \| ([^|]+) \| ((?:[^|\\]|\\.)+) \| ((?:[^|\\]|\\.)+) \| ([^|]+) \|"
)
_NOT_RAISED_HERE = ("json", "lock", "tar", "zst", "py", "md", "pem", "yaml", "db")
"""What follows the dot of a file's name in a docstring."""


def _settings() -> set[str]:
    """Keys of the configuration, and what holds some of them: texts name them as they name ids."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    names = re.findall(r"^\| `([a-z_.]+)`", page, re.MULTILINE)
    assert len(names) > 20
    return {*names, *(name.rpartition(".")[0] for name in names)}


def _rows() -> list[tuple[str, str, str, str, str]]:
    lines = (ROOT / "docs" / "errors.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| `")]
    found = [_ROW.fullmatch(line) for line in table]
    assert None not in found
    return [match.groups() for match in found if match is not None]  # type: ignore[misc]


DOCUMENTED = {row[0] for row in _rows()}


def _source() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room.__name__).rglob("*.py")):
            yield path, ast.parse(path.read_bytes())


def _classes(parent: type[BridgeError]) -> Iterator[type[BridgeError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from _classes(child)


def _import_everything() -> None:
    for room in ROOMS:
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)


def test_every_id_in_a_call_of_an_error_class_is_documented_with_its_exit_code() -> None:
    _import_everything()
    codes = {kind.__name__: str(kind.exit_code) for kind in _classes(BridgeError)}
    documented = {(row[0], row[1]) for row in _rows()}
    found = set()
    for _, tree in _source():
        for call in ast.walk(tree):
            match call:
                case ast.Call(
                    func=ast.Name(id=name), args=[ast.Constant(value=str(text)), _, _]
                ) if name in codes and text != "usage":
                    found.add((text, codes[name]))
    assert len(found) > 80
    assert found - documented == set()


def test_every_id_that_a_docstring_promises_is_documented() -> None:
    heads = {name.partition(".")[0] for name in DOCUMENTED}
    known = DOCUMENTED | _settings()
    missing = set()
    for path, tree in _source():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for name in re.findall(r"``([a-z]+)\.([a-z_]+)``", ast.get_docstring(node) or ""):
                    told = name[0] in heads and name[1] not in _NOT_RAISED_HERE
                    if told and ".".join(name) not in known:
                        missing.add(f"{path.name}: {'.'.join(name)}")
    assert missing == set()


def test_every_id_that_a_golden_file_must_give_is_documented() -> None:
    golden = json.loads((ROOT / "tests" / "golden" / "bad.json").read_text())
    assert {defect["error"] for defect in golden} - DOCUMENTED == set()


def test_every_id_that_the_threat_model_names_is_documented() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    named = re.findall(r"`([a-z]+)\.([a-z_]+)`", text)
    ids = {f"{head}.{tail}" for head, tail in named if tail not in _NOT_RAISED_HERE}
    assert len(ids) > 40
    assert ids - DOCUMENTED - _settings() == set()


def test_every_documented_id_stands_in_the_files_that_the_page_names() -> None:
    for name, _, _, _, files in _rows():
        for file in files.split(", "):
            text = (ROOT / file).read_text()
            assert f'"{name}"' in text or f'"{name.rpartition(".")[2]}"' in text, f"{file}: {name}"


def test_every_error_says_a_cause_and_what_to_do() -> None:
    for name, code, message, hint, _ in _rows():
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", name)
        assert re.fullmatch(r"[0-9]+|HTTP [45][0-9]{2}", code), name
        assert message.strip(), name
        assert hint.strip(), name


@pytest.mark.parametrize(
    "source",
    [
        'def one(): raise ConfigError("a" + str(1), "It is.", "Do.")',
        'def one(name): raise ConfigError(f"a.{name}", "It is.", "Do.")\none(two())',
    ],
)
def test_an_id_that_cannot_be_told_ends_the_program_that_makes_the_page(
    tmp_path: Path, source: str
) -> None:
    for room in ROOMS:
        (tmp_path / room.__name__).mkdir()
    errors = (ROOT / "keys" / "errors.py").read_text()
    (tmp_path / "keys" / "errors.py").write_text(errors)
    (tmp_path / "spool" / "one.py").write_text(source)
    (tmp_path / "scripts").mkdir()
    program = tmp_path / "scripts" / "errors"
    program.write_text((ROOT / "scripts" / "errors").read_text())
    made = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 1
    assert "spool/one.py:" in made.stderr
    assert made.stdout == ""
