"""Whoever sends sees that it was asked to try again now, and when."""

import os
from pathlib import Path

import pytest

from spool.waking import WAKE_NAME, ask_to_wake, asked_at


def test_a_process_that_was_never_asked_was_asked_at_no_time(tmp_path: Path) -> None:
    assert asked_at(tmp_path) == 0


def test_asking_again_is_a_later_time(tmp_path: Path) -> None:
    ask_to_wake(tmp_path)
    (request,) = tmp_path.iterdir()
    os.utime(request, ns=(5, 5))
    assert asked_at(tmp_path) == 5
    ask_to_wake(tmp_path)
    assert asked_at(tmp_path) > 5
    assert request.stat().st_mode & 0o7777 == 0o600


def test_a_link_in_the_requests_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"x")
    os.utime(elsewhere, ns=(5, 5))
    (tmp_path / WAKE_NAME).symlink_to(elsewhere)
    ask_to_wake(tmp_path)
    assert not (tmp_path / WAKE_NAME).is_symlink()
    assert (elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns) == (b"x", 5)


def test_what_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    (tmp_path / WAKE_NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        ask_to_wake(tmp_path)
