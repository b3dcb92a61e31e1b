"""A machine without a network is set up from a folder that was carried to it."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / ".venv" / "wheelhouse"
SOURCES = ("keys", "spool", "bridge", "scripts", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the source tree, with nothing installed."""
    tree = tmp_path / "a source tree"
    tree.mkdir()
    for name in (*SOURCES, "requirements.lock", "requirements-dev.lock"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name)
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    # An index that answers nothing: what needs one fails at once, on every machine.
    environment = os.environ | {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(
    not (WHEELHOUSE / "requirements.lock").exists(),
    reason="scripts/test fetches the wheelhouse, while there is a network",
)
def test_setup_from_a_wheelhouse_needs_no_network(source: Path, tmp_path: Path) -> None:
    shutil.copytree(WHEELHOUSE, tmp_path / "wheelhouse")
    setup = source / "scripts" / "setup"

    first = _run(
        source / "scripts" / "offline", setup, "--from", "../../wheelhouse", cwd=source / "scripts"
    )
    assert first.returncode == 0, first.stderr
    for room in ("keys", "spool", "bridge"):
        where = f"import {room}; print({room}.__file__)"
        imported = _run(source / ".venv" / "bin" / "python", "-c", where, cwd=tmp_path)
        assert imported.stdout.strip() == str(source / room / "__init__.py")
    assert (source / ".venv" / "bin" / "airgap-bridge").exists()

    again = _run(setup, cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_setup_from_a_folder_that_lacks_packages_fails_with_a_hint(
    source: Path, tmp_path: Path
) -> None:
    done = _run(source / "scripts" / "setup", "--from", tmp_path, cwd=tmp_path)
    assert done.returncode == 1
    assert "hint: make the wheelhouse from this very source" in done.stderr
    assert not (source / ".venv" / "setup-lock").exists()


def test_the_wheel_holds_every_file_of_the_rooms(source: Path, tmp_path: Path) -> None:
    pip = (ROOT / ".venv" / "bin" / "python", "-m", "pip", "wheel", "--no-build-isolation")
    done = _run(*pip, "--no-deps", "--no-index", "-w", tmp_path, source, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {
        str(path.relative_to(source))
        for room in ("keys", "spool", "bridge")
        for path in (source / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
