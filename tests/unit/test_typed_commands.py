"""A command that a hint or a page names can be typed: it exists, its options too, none is left out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import bridge
import keys
import spool
from bridge.cli.commands import COMMANDS
from bridge.cli.main import bridge as program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = (bridge, keys, spool)
_NAMES = "|".join(sorted(COMMANDS))
_TYPED = re.compile(rf"(?<![\w/-])bridge(?: --config \S+| -[vq])* ({_NAMES})\b([^`\n]*)")
_END = re.compile(r"[;.,:](?:\s|$|<)|\s(?:#|&|>|\||prints|wrote|from)\s|\)")


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words after it."""
    context = click.Context(program)
    found: click.Command = program
    while isinstance(found, click.Group) and words:
        inner = found.get_command(context, words[0])
        if inner is None:
            assert not re.fullmatch(r"[a-z]+", words[0]) or found is not program, words
            break
        found, words = inner, words[1:]
    return found, words


def _wrong(name: str, rest: str) -> str | None:
    """What is wrong with a command line, None if it can be typed."""
    end = _END.search(rest)
    words = (rest if end is None else rest[: end.start()]).split()
    command, words = _command([name, *words])
    options = {option: each for each in command.params for option in each.opts}
    given = [word.split("=")[0].strip("[]") for word in words if word.strip("[").startswith("-")]
    unknown = [word for word in given if word not in {*options, "--help", "-", "…"}]
    if unknown:
        return f"it has no {unknown}"
    if isinstance(command, click.Group) and command is not program and words:
        return f"it has no {words[0]}" if re.fullmatch(r"[a-z]+", words[0]) else None
    needed = {id(each): each for each in command.params if each.required}
    missing = [
        each.opts[0]
        for each in needed.values()
        if isinstance(each, click.Option) and not set(each.opts) & set(given)
    ]
    # A line with options is to be typed as it stands; a bare name is a name.
    return f"it needs {missing}" if given and "--help" not in given and missing else None


def _strings() -> Iterator[tuple[Path, str]]:
    """Every text of the code: f-strings with … where something is filled in."""
    for room in ROOMS:
        for path in sorted((ROOT / room.__name__).rglob("*.py")):
            tree = ast.parse(path.read_bytes())
            pieces = {
                part
                for node in ast.walk(tree)
                if isinstance(node, ast.JoinedStr)
                for part in node.values
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        part.value if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    ]
                    yield path, "".join(map(str, parts))
                elif node not in pieces and isinstance(node, ast.Constant):
                    yield path, str(node.value)


def test_every_command_in_a_text_of_the_program_can_be_typed() -> None:
    found = [
        (path.relative_to(ROOT), match[0], wrong)
        for path, text in _strings()
        for match in _TYPED.finditer(text)
        if (wrong := _wrong(match[1], match[2]))
    ]
    assert not found, found


def test_every_command_of_a_hint_exists() -> None:
    rows = (ROOT / "docs" / "errors.md").read_text()
    named = re.findall(r"`bridge ([a-z]+)|: bridge ([a-z]+)|[Rr]un bridge ([a-z]+)", rows)
    assert len(named) > 20
    assert {"".join(each) for each in named} <= {*COMMANDS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    found = [
        (match[0], wrong)
        for match in _TYPED.finditer(text)
        if (wrong := _wrong(match[1], match[2]))
    ]
    assert not found, found


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("export --to DIR", None),
        ("export --again", "it needs"),
        ("export --two DIR", "it has no"),
        ("keys trust FILE --role node --name N --fingerprint HEX", None),
        ("keys explode", "it has no"),
        ("status --wait drained", None),
    ],
)
def test_the_looking_itself(line: str, wrong: str | None) -> None:
    name, _, rest = line.partition(" ")
    found = _wrong(name, f" {rest}")
    assert found is None if wrong is None else found is not None and wrong in found
