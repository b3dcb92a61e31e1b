"""The manual's chapters on what was lost: their commands, in their order, on real machines."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.attacks import run
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon

pytestmark = pytest.mark.enable_socket
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@dataclass
class Site:
    """A folder with machines, a stick, and the words that stand for them in the manual."""

    folder: Path
    beacon: RunningBeacon
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stick.mkdir()
        self.words |= {"STICK": str(self.stick), "BACKUP": str(self.folder / "backup")}
        self.words |= {"INSIDE": str(self.folder / "inside"), "NEW": str(self.folder / "new")}

    @property
    def stick(self) -> Path:
        return self.folder / "stick"

    def make(self, name: str, more: str) -> None:
        home = self.folder / name
        assert run("init", home, "--node", name, "--beacon", self.beacon.url).code == 0
        (home / "license_key").write_text(LICENSE)
        (home / "license_key").chmod(0o600)
        with (home / "bridge.yaml").open("a") as config:
            config.write(more)

    def on(self, name: str, *words: str | Path) -> dict[str, Any]:
        done = run("--config", self.folder / name / "bridge.yaml", *words, "--json")
        # Where no daemon runs, the status ends with 1, and says all the same what is held.
        assert done.code == 0 or words == ("status",), (words, done)
        found: dict[str, Any] = orjson.loads(done.out)
        return found

    def pair(self, relay: str) -> None:
        """As the manual's chapter on pairing does."""
        for here, there, role in (("inside", relay, "relay"), (relay, "inside", "node")):
            shown = self.on(there, "keys", "show")
            key = self.folder / there / "keys" / "node.pub.pem"
            self.on(here, "keys", "trust", key, "--role", role, "--name", there,
                    "--fingerprint", shown["id"], "--age", shown["age"])  # fmt: skip
            self.words[f"ID-OF-{there.upper()}"] = shown["id"]
            self.words[f"AGE-OF-{there.upper()}"] = shown["age"]

    def append(self, *ids: str, name: str = "inside") -> None:
        """One more segment."""
        lines = self.folder / "lines.ndjson"
        lines.write_text("".join(f'{{"id":"{each}"}}\n' for each in ids))
        assert run("--config", self.folder / name / "bridge.yaml", "append",
                   "transactions", lines).code == 0  # fmt: skip

    def follow(self, line: str, code: int = 0) -> str:
        """Give the command of one line of the manual, on the machine that it names; what it says."""
        command, machine = (each.strip() for each in line.rsplit("#", 1))
        if command == "bridge keys show":
            shown = self.on(machine, "keys", "show")
            self.words |= {"NEW-ID": shown["id"], f"AGE-OF-{machine.upper()}": shown["age"]}
        for word in sorted(self.words, key=len, reverse=True):
            command = re.sub(rf"(?<![A-Z-]){word}(?![A-Z-])", self.words[word], command)
        words: list[str] = []
        for word in command.split():
            path = Path(word)
            words += sorted(map(str, path.parent.glob(path.name))) if "*" in word else [word]
        if words[0] != "bridge":
            subprocess.run(words, check=True)
            return ""
        words = words[1:] if words[1] == "init" else ["--config",
            str(self.folder / machine / "bridge.yaml"), *words[1:]]  # fmt: skip
        done = run(*words)
        assert done.code == code or "status" in words, (line, done)
        return done.out.decode()

    def records(self, name: str = "inside") -> dict[str, int]:
        lanes = self.on(name, "status")["lanes"]
        return {
            state: count
            for lane in lanes
            if lane["stream"] == "transactions"
            for state, count in lane["records"].items()
            if count
        }

    def at_the_beacon(self) -> list[str]:
        return sorted(str(record.id) for record in self.beacon.records("transactions"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_beacon(tmp_path / "beacon") as beacon:
        site = Site(tmp_path, beacon)
        site.make("inside", "egress: {mode: offline}\n")
        site.make("relay-1", "licenses: {inside: [license_key]}\n")
        site.words["RELAY"] = str(tmp_path / "relay-1")
        site.pair("relay-1")
        yield site


def blocks(chapter: str) -> list[list[str]]:
    """The lines of each block of commands in a chapter."""
    section = PAGE[PAGE.index(f"### {chapter}\n") :]
    section = section[: re.search(r"\n##", section[3:]).start() + 3]  # type: ignore[union-attr]
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def test_a_lost_stick(site: Site) -> None:
    site.append("a", "b")
    site.on("inside", "export", "--to", site.stick)
    shutil.rmtree(site.stick)
    site.stick.mkdir()
    (lines,) = blocks("A stick was lost")
    for line in lines:
        site.follow(line)
    assert site.at_the_beacon() == ["a", "b"]
    assert site.records() == {"delivered": 2}


def test_a_lost_relay(site: Site) -> None:
    site.append("a", "b")
    site.on("inside", "export", "--to", site.stick)
    shutil.rmtree(site.folder / "relay-1")
    site.make("relay-2", "licenses: {inside: [license_key]}\n")
    site.pair("relay-2")
    (lines,) = blocks("A relay was lost")
    for line in lines:
        site.follow(line)
    assert site.at_the_beacon() == ["a", "b"]
    assert site.records() == {"delivered": 2}


def test_a_stolen_key(site: Site) -> None:
    site.append("a")
    site.words["OLD-ID"] = site.on("inside", "keys", "show")["id"]
    (looking, *changing), carrying = blocks("A key was stolen")
    last = re.findall(r"inside/transactions (\d+)", site.follow(looking))[-1]
    site.words["NUMBER"] = str(int(last) + 1)
    for line in changing:
        site.follow(line)
    site.append("b")  # by the new key
    for line in carrying:
        site.follow(line)
    assert site.records("relay-1") == {"pending": 2}


def test_a_stolen_key_of_a_relay(site: Site) -> None:
    site.append("a", "b")
    changing, carrying = blocks("A relay's key was stolen")
    before = {word: site.words[word] for word in ("ID-OF-RELAY-1", "AGE-OF-RELAY-1")}
    forged = site.folder / "forged"
    shutil.copytree(site.folder / "relay-1", forged)  # what the thief has
    for line in changing:
        site.follow(line)
    assert site.words["NEW-ID"] != before["ID-OF-RELAY-1"]
    assert site.words["AGE-OF-RELAY-1"] != before["AGE-OF-RELAY-1"]
    for line in carrying:
        site.follow(line)
    assert site.at_the_beacon() == ["a", "b"]
    assert site.records() == {"delivered": 2}
    (bundle,) = site.stick.glob("inside-to-relay-1-*.age")
    config = forged / "bridge.yaml"
    told = run("--config", config, "import", "--json", bundle)
    assert "age.failed" in told.out.decode()
    # The thief's own receipt, of a bundle that was not encrypted.
    site.on("inside", "export", "--again", "--plain", "--to", site.folder)
    site.append("c")
    site.on("inside", "export", "--plain", "--to", site.folder)
    run("--config", config, "import", *site.folder.glob("inside-to-relay-1-*.agb"))
    run("--config", config, "export", "--for", "inside", "--plain", "--to", site.folder)
    (receipt,) = site.folder.glob("relay-1-to-inside-*.agr")
    told = run("--config", site.folder / "inside" / "bridge.yaml", "import", "--json", receipt)
    assert (told.code, "key.untrusted" in told.out.decode()) == (4, True)


def test_a_lost_key(site: Site) -> None:
    site.append("a")
    shutil.rmtree(site.folder / "inside" / "keys")
    (lines,) = blocks("A key was lost")
    for line in lines:
        site.follow(line)
    assert site.records("relay-1") == {"pending": 1}


def test_a_restored_backup(site: Site) -> None:
    site.append("a")
    shutil.copytree(site.folder / "inside", site.folder / "backup")
    site.append("b")
    site.on("inside", "export", "--to", site.stick)
    site.on("relay-1", "import", *site.stick.glob("*.age"))
    restoring, carrying, hearing = blocks("A backup was restored")
    for line in restoring:
        site.follow(line)
    site.append("c")
    shutil.rmtree(site.stick)
    site.stick.mkdir()
    for line in carrying:
        site.follow(line)
    (line,) = hearing
    assert "receipt.foreign" in site.follow(line, code=3)
    assert site.at_the_beacon() == ["a", "b", "c"]
    assert set(site.records()) == {"delivered"}


def test_a_new_machine(site: Site) -> None:
    site.append("a")
    (lines,) = blocks("The machine is new")
    for line in lines[:2]:
        site.follow(line)
    site.append("b", name="new")
    for line in lines[2:]:
        site.follow(line)
    assert site.records("relay-1") == {"pending": 2}
