"""Facts about the repository that nobody would notice breaking."""

import ast
import os
import re
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ROOMS = ("keys", "spool", "bridge")
LOCKS = ("requirements.lock", "requirements-dev.lock")
LEFT_BEHIND = ("bridge-node", "mutants", "node_modules", "testbeacon-data")
"""Folders that our commands make in the folder where they are started."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)(?: ; \S.*?)?((?: --hash=sha256:[0-9a-f]{64})+)")


def _pins(name: str) -> dict[str, Version]:
    """The pinned releases of a lock file; any line of another form fails."""
    text = (ROOT / name).read_text(encoding="ascii")
    lines = [re.sub(r"\s+", " ", line) for line in text.replace("\\\n", "").splitlines()]
    matches = [
        (line, _PIN.fullmatch(line.strip()))
        for line in lines
        if line and not line.lstrip().startswith("#")
    ]
    assert [line for line, match in matches if match is None] == []
    return {
        canonicalize_name(match[1]): Version(match[2]) for _, match in matches if match is not None
    }


def _wanted(lock: str) -> list[Requirement]:
    groups = PROJECT["dependency-groups"]
    wanted = PROJECT["project"]["dependencies"] + groups["build"]
    return [Requirement(line) for line in (wanted if lock == LOCKS[0] else wanted + groups["dev"])]


def _files() -> Iterator[Path]:
    """Every file of the source tree."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name == ".ci" or not name.startswith((".", "__pycache__", *LEFT_BEHIND))
        ]
        # In a second work tree ``.git`` is a file that says where the first one is.
        yield from (Path(folder, name) for name in names if name != ".git")


def _programs() -> list[Path]:
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    return sorted([ROOT / ".ci" / "run", *scripts])


@pytest.mark.parametrize("path", _programs(), ids=lambda path: path.name)
def test_every_script_can_be_run_and_stops_at_the_first_error(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py" and not text.startswith("#!"):
        pytest.skip("a module of a script")
    assert text.startswith("#!/usr/bin/env ")
    assert os.access(path, os.X_OK)
    if "bash" in text.splitlines()[0]:
        assert "\nset -euo pipefail\n" in text


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_pins_every_wanted_package_by_hash(lock: str) -> None:
    pins = _pins(lock)
    for requirement in _wanted(lock):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_both_locks_agree() -> None:
    run, dev = (_pins(lock) for lock in LOCKS)
    assert {name: dev[name] for name in run} == run


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="ascii")
    assert re.findall(r"://|--(?:extra-)?index|--find-links|--trusted-host|@ ", text) == []


def test_no_file_names_a_place_on_the_machine_where_it_was_written() -> None:
    places = re.compile(rb"(?<![\w.)}\"-])/(?:work|root|opt/wheels|opt/pypi)/|[.][.]/shared/")
    found = [path for path in _files() if places.search(path.read_bytes())]
    assert [str(path.relative_to(ROOT)) for path in found] == []


def test_what_a_trial_leaves_behind_is_not_in_the_repository() -> None:
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(git, check=True, capture_output=True).stdout.split(b"\0")[:-1]
    assert b"LICENSE" in names
    # A spool, a beacon's database and a node's key; tests make theirs, and make them anew each time.
    left = re.compile(
        rb"(^|/)(node[.]pem|trust[.]json|license_key|.*[.](db|db-shm|db-wal|sqlite))$"
    )
    assert [name for name in names if left.search(name)] == []


def test_no_file_names_a_package_index() -> None:
    hosts = re.compile(rb"pypi[.]org|pythonhoste[d]|npmj[s]")
    found = [path for path in _files() if hosts.search(path.read_bytes())]
    assert [str(path.relative_to(ROOT)) for path in found] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_typed_and_ships(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()
    assert room in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_imported_package_is_a_declared_dependency(room: str) -> None:
    declared = {
        canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]
    }
    distributions = packages_distributions()
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Import(names=names):
                    imported = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    imported = [module]
                case _:
                    continue
            for name in imported:
                owners = distributions.get(name.partition(".")[0], ["airgap-bridge"])
                names_of_owners = {canonicalize_name(owner) for owner in owners}
                assert names_of_owners & (declared | {"airgap-bridge"}), f"{path}: {name}"


def test_every_ignored_rule_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    codes = re.findall(r'^ {4}"[A-Z]+[0-9]*",(.*)$', text, re.MULTILINE)
    assert codes
    assert [rest for rest in codes if not re.fullmatch(r" +# \S.*", rest)] == []


def test_decision_records_are_numbered_and_say_context_decision_and_consequences() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:5] for path in records] == [f"{n:04}-" for n in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ], path


def test_a_test_cannot_make_a_network_socket() -> None:
    with pytest.raises(UserWarning, match=r"tried to use socket\.socket"):
        socket.socket(socket.AF_INET)


@pytest.mark.enable_socket
def test_a_test_that_may_use_sockets_reaches_loopback_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    with (
        socket.socket() as outside,
        pytest.raises(UserWarning, match=r"tried to use socket\.socket\.connect"),
    ):
        outside.connect(("192.0.2.1", 9))
