"""What is shown (152): marks that act on a terminal, or do not show, are written out as escapes."""

from pathlib import Path

import orjson
import pytest

from bridge.cli import main
from keys.ed25519 import SigningKey
from tests.golden import bundles as golden
from tests.golden.build import SIGNER, compact
from tests.support import crossings
from tests.support.attacks import Home, ids, make_home

MARKS = {
    "esc": "\x1b[2J", "osc-0": "\x1b]0;owned\x07", "osc-52": "\x1b]52;c;ZXZpbA==\x07",
    "osc-8": "\x1b]8;;http://evil.example\x1b\\", "c1": "\x9b2J", "bel": "\x07", "cr": "\r",
    "bs": "\b", "del": "\x7f", "rlo": "\u202e", "lri": "\u2066", "zwsp": "\u200b",
    "tag": "\U000e0041", "lf": "\n",
}  # fmt: skip
ACTS = [*(chr(n) for n in range(32) if chr(n) != "\n"), "\x7f", *map(chr, range(0x80, 0xA0))]
ACTS += ["\u202e", "\u2066", "\u200b", "\U000e0041"]
COMMANDS = (
    ("import",), ("verify",), ("inspect",), ("append", "transactions"), ("backfill",),
    ("license", "import"),
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home") / "n", "n", SigningKey(bytes(32)))


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("mark", list(MARKS))
def test_attack_152_a_files_name_is_escaped_by_every_command_that_names_it(
    home: Home, mark: str, *, as_json: bool
) -> None:
    path = home.put(f"a{MARKS[mark]}b".replace("/", ":"), b"nothing that any command takes")
    before = home.state()
    for command in COMMANDS:
        told = home.run(*command, path, *(["--json"] if as_json else []))
        assert told.code != 0, command
        shown = told.out.decode() + told.err
        assert not [act for act in ACTS if act in shown], (command, shown)
        assert f"a{MARKS[mark]}b" not in shown.replace("/", ":")
        if as_json:
            assert ids(told), command
    assert home.changed_since(before, ("spool/license",)) == set()


def test_attack_152_what_a_record_holds_is_escaped_where_it_is_shown(home: Home) -> None:
    raw = "".join(MARKS.values()).replace("\n", "")
    record = orjson.dumps({"id": "x", "field": raw})
    told = home.run("append", "transactions", home.put("r.ndjson", record + b"\n"))
    assert told.code == 0, told.err
    for path in home.spool.rglob("sealed/*/*.zst"):
        told = home.run("inspect", path, "--records", "--json")
        assert told.code == 0
        assert not [act for act in ACTS if act in told.out.decode()]


@pytest.mark.parametrize("mark", [*MARKS, "twin"])
def test_attack_152_a_note_with_such_a_mark_is_refused(tmp_path: Path, mark: str) -> None:
    relay = crossings.relay(tmp_path / "relay")
    said = compact(golden.manifest(note=f"week{MARKS.get(mark, ' ')}48"))
    rest = crossings.members_of("good.agb")[1:]
    sealed = golden.envelope(said, golden.BUNDLE, SIGNER)
    path = relay.put("b.agb", golden.ustar([("manifest.dsse.json", sealed), *rest]))
    told = relay.run("import", path, "--json")
    wanted = (4, ["document.field"]) if mark in MARKS else (0, [])
    assert (told.code, ids(told)) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_attack_152_a_shells_completion_is_told_our_own_words_alone(
    home: Home, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home.stick / f"in-{shell}"
    folder.mkdir()
    for mark in MARKS.values():
        (folder / f"a{mark}b".replace("/", ":")).touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("_BRIDGE_COMPLETE", f"{shell}_complete")
    for words, current in (
        ("bridge ", "1"), ("bridge imp", "1"), ("bridge import a", "2"), ("bridge verify ", "2"),
        ("bridge export --to ", "3"), ("bridge keys ", "2"), ("bridge --config a", "2"),
    ):  # fmt: skip
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", words.split(" ")[-1] if shell == "fish" else current)
        with pytest.raises(SystemExit):
            main.run([])
    shown, errors = capsys.readouterr()
    assert not errors
    assert "import" in shown
    assert not [act for act in ACTS if act in shown and act != "\t"]  # fish parts columns by it
