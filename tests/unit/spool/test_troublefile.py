"""What the daemon tells of its certificate arrives in the status, or nothing does."""

from pathlib import Path

import pytest

from keys.errors import ConfigError
from spool.troublefile import Trouble, read_trouble, write_trouble
from tests.support.spools import FAST

REFUSED = Trouble("tls.expired", "It ended.", "Renew it.")


def test_a_refusal_is_read_as_it_was_written_until_all_is_well_again(tmp_path: Path) -> None:
    assert read_trouble(tmp_path, "tls") is None
    write_trouble(FAST, tmp_path, "tls", REFUSED)
    assert read_trouble(tmp_path, "tls") == REFUSED
    write_trouble(FAST, tmp_path, "tls", None)
    assert read_trouble(tmp_path, "tls") is None


def test_the_longest_texts_of_an_error_are_cut_to_what_the_file_holds(tmp_path: Path) -> None:
    told = Trouble.of(ConfigError("tls.key", "\x01" * 5000, "\U0001f600" * 5000))
    assert told == Trouble("tls.key", "\x01" * 300, "\U0001f600" * 300)
    write_trouble(FAST, tmp_path, "tls", told)
    assert read_trouble(tmp_path, "tls") == told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"junk",
        b'{"v":2,"refused":{"id":"a","message":"b","hint":"c"}}',
        b'{"v":1}',
        b'{"v":1,"refused":"a"}',
        b'{"v":1,"refused":{"id":"a","message":"b"}}',
        b'{"v":1,"refused":{"id":"a","message":"b","hint":1}}',
        b'{"v":1,"refused":{"id":"","message":"b","hint":"c"}}',
        b'{"v":1,"refused":{"id":"a","message":"b","hint":"c"}}' + b" " * 16 * 1024,
    ],
)
def test_what_the_daemon_did_not_write_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tls.json").write_bytes(data)
    assert read_trouble(tmp_path, "tls") is None
