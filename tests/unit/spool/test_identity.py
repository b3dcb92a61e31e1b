"""Which file a name leads to, whatever became of the name."""

import os
from pathlib import Path

import pytest

from spool import identity
from spool.identity import identity_at, identity_of


@pytest.fixture(params=["statx", "lstat"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the C library's ``statx``, and as where it has none."""
    assert identity._statx is not None  # noqa: SLF001 - else both ways are one
    if request.param == "lstat":
        monkeypatch.setattr(identity, "_statx", None)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_name_leads_to_its_file_until_it_is_moved_removed_or_taken(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9"
    name = os.fsencode(path)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        own = identity_of(fd)
        assert identity_at(name) == own
        path.rename(tmp_path / "moved")
        assert identity_at(name) is None
        path.write_bytes(b"another one")
        assert identity_at(name) not in (own, None)
        path.unlink()
        path.symlink_to(tmp_path / "moved")
        assert identity_at(name) not in (own, None)
        assert identity_at(os.fsencode(tmp_path / "moved")) == own
    finally:
        os.close(fd)


@pytest.mark.usefixtures("way")
def test_a_name_that_cannot_be_looked_at_is_an_error_and_not_a_file_that_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        identity_at(os.fsencode(tmp_path / "file" / "below"))
    with pytest.raises(OSError, match="too long"):
        identity_at(os.fsencode(tmp_path / ("n" * 256)))
