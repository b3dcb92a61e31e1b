"""A machine's key changes as a whole, also when it is killed, and knows what it took over from."""

import errno
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest

from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from keys.keyfile import (
    PRIVATE_NAME,
    PUBLIC_NAME,
    create_file,
    create_pair,
    read_public_key,
    read_signing_key,
)
from keys.ownkey import NEXT_NAME, own_public_keys, read_own_key, rotate
from keys.rotation import read_rotation, seal_rotation

AT = "2026-11-24T00:00:00.000Z"
OLD, NEW = (SigningKey(bytes([seed]) * 32) for seed in (1, 2))


class KilledError(Exception):
    pass


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_key_takes_over_with_its_statement_and_its_modes(tmp_path: Path) -> None:
    first = create_pair(tmp_path)
    told = rotate(tmp_path, "prod-1", AT)
    assert (told.number, told.name, told.made_at) == (1, "prod-1", AT)
    now = read_own_key(tmp_path)
    assert (told.old, told.new) == (first.public, now.public)
    assert now.took_over_from == (first.public,)
    statement = tmp_path / "rotations" / "000001.dsse.json"
    assert now.rotations == (statement.read_bytes(),)
    assert [mode_of(tmp_path / name) for name in (PRIVATE_NAME, PUBLIC_NAME)] == [0o600, 0o644]
    assert (mode_of(statement.parent), mode_of(statement)) == (0o700, 0o644)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {PRIVATE_NAME, PUBLIC_NAME, "rotations"}


def test_a_machine_that_never_changed_its_key_took_over_from_none(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    now = read_own_key(tmp_path)
    assert (now.public, now.took_over_from, now.rotations) == (key.public, (), ())
    assert own_public_keys(tmp_path) == {key.public.id: key.public}


def test_rotations_are_told_in_their_order(tmp_path: Path) -> None:
    keys = [create_pair(tmp_path).public]
    for number in range(1, 4):
        done = rotate(tmp_path, "prod-1", AT)
        assert (done.number, done.old) == (number, keys[-1])
        keys.append(done.new)
    now = read_own_key(tmp_path)
    assert [*now.took_over_from, now.public] == keys
    assert list(own_public_keys(tmp_path)) == [key.id for key in keys]


def test_a_rotation_killed_before_its_public_half_is_finished_and_not_done_twice(
    tmp_path: Path,
) -> None:
    first = create_pair(tmp_path)
    done = rotate(tmp_path, "prod-1", AT)
    (tmp_path / PUBLIC_NAME).write_bytes(first.public.pem())
    assert rotate(tmp_path, "prod-1", AT) == done
    assert read_public_key(tmp_path / PUBLIC_NAME) == done.new
    assert read_signing_key(tmp_path / PRIVATE_NAME).public == done.new


def test_what_was_left_of_a_replaced_public_half_stands_in_no_rotations_way(
    tmp_path: Path,
) -> None:
    create_pair(tmp_path)
    (tmp_path / f"{PUBLIC_NAME}.tmp").write_bytes(b"half")
    done = rotate(tmp_path, "prod-1", AT)
    assert read_public_key(tmp_path / PUBLIC_NAME) == done.new


def chain_of(folder: Path, count: int) -> None:
    keys = [SigningKey.generate() for _ in range(count + 1)]
    (folder / "rotations").mkdir(exist_ok=True)
    for number, (old, new) in enumerate(pairwise(keys), start=1):
        path = folder / "rotations" / f"{number:06d}.dsse.json"
        path.write_bytes(seal_rotation(number, "prod-1", AT, old, new))
    (folder / PRIVATE_NAME).write_bytes(keys[-1].pem())
    (folder / PRIVATE_NAME).chmod(0o600)
    (folder / PUBLIC_NAME).write_bytes(keys[-1].public.pem())


def test_the_63rd_rotation_is_the_last_and_a_64th_changes_nothing(tmp_path: Path) -> None:
    chain_of(tmp_path, 62)
    last = rotate(tmp_path, "prod-1", AT)
    assert last.number == 63
    assert len(read_own_key(tmp_path).took_over_from) == 63
    with pytest.raises(ConfigError) as refused:
        rotate(tmp_path, "prod-1", AT)
    assert refused.value.id == "key.rotations"
    assert read_signing_key(tmp_path / PRIVATE_NAME).public == last.new
    assert len(list((tmp_path / "rotations").iterdir())) == 63


def refused_after(folder: Path, path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ConfigError) as refused:
        read_own_key(folder)
    return refused.value.id


def test_a_statement_under_another_number_than_its_own_is_refused(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    (tmp_path / "rotations").mkdir()
    path = tmp_path / "rotations" / "000001.dsse.json"
    path.write_bytes(seal_rotation(1, "prod-1", AT, OLD, key))
    assert read_own_key(tmp_path).took_over_from == (OLD.public,)
    assert (
        refused_after(tmp_path, path, seal_rotation(2, "prod-1", AT, OLD, key)) == "key.rotations"
    )


def test_a_statement_whose_old_key_is_not_the_one_before_is_refused(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    (tmp_path / "rotations").mkdir()
    first = tmp_path / "rotations" / "000001.dsse.json"
    first.write_bytes(seal_rotation(1, "prod-1", AT, OLD, NEW))
    second = first.with_name("000002.dsse.json")
    second.write_bytes(seal_rotation(2, "prod-1", AT, NEW, key))
    assert read_own_key(tmp_path).took_over_from == (OLD.public, NEW.public)
    assert (
        refused_after(tmp_path, second, seal_rotation(2, "prod-1", AT, OLD, key)) == "key.rotations"
    )


def test_rotations_of_another_key_are_refused_before_a_new_one_is_made(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    (tmp_path / "rotations").mkdir()
    path = tmp_path / "rotations" / "000001.dsse.json"
    path.write_bytes(seal_rotation(1, "prod-1", AT, OLD, NEW))
    with pytest.raises(ConfigError) as refused:
        rotate(tmp_path, "prod-1", AT)
    assert refused.value.id == "key.rotations"
    assert read_signing_key(tmp_path / PRIVATE_NAME).public == key.public
    assert not (tmp_path / NEXT_NAME).exists()


def test_a_statement_behind_a_link_is_not_followed(tmp_path: Path) -> None:
    create_pair(tmp_path)
    rotate(tmp_path, "prod-1", AT)
    statement = tmp_path / "rotations" / "000001.dsse.json"
    statement.rename(tmp_path / "elsewhere")
    statement.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        read_own_key(tmp_path)


@pytest.mark.parametrize("call", ["open", "link", "replace", "fsync"])
@pytest.mark.parametrize("number", range(12))
def test_a_rotation_killed_at_any_call_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    first = create_pair(tmp_path)
    left = number
    real = getattr(os, call)

    def killed(*arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, killed)
        with suppress(KilledError):
            rotate(tmp_path, "prod-1", AT)
    assert first.public.id in read_own_key(tmp_path).own_keys
    done = rotate(tmp_path, "prod-1", AT) if left < 0 else None
    now = read_own_key(tmp_path)
    assert not (tmp_path / NEXT_NAME).exists()
    assert read_public_key(tmp_path / PUBLIC_NAME) == now.public
    assert done is None or done.new == now.public
    assert first.public in now.took_over_from
    assert own_public_keys(tmp_path) == now.own_keys
    told_by = [read_rotation(each) for each in now.rotations]
    assert [each.number for each in told_by] == list(range(1, len(told_by) + 1))
    assert (tmp_path / PRIVATE_NAME).read_bytes() != first.pem()


def test_a_disk_without_room_leaves_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = create_pair(tmp_path)

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        rotate(tmp_path, "prod-1", AT)
    assert read_own_key(tmp_path).public == first.public


def test_statements_that_do_not_lead_to_the_key_are_refused(tmp_path: Path) -> None:
    create_pair(tmp_path)
    rotate(tmp_path, "prod-1", AT)
    rotate(tmp_path, "prod-1", AT)
    statement = tmp_path / "rotations" / "000002.dsse.json"
    whole = statement.read_bytes()
    for bad in (None, whole[:-1], seal_rotation(2, "prod-1", AT, OLD, NEW)):
        statement.unlink(missing_ok=True)
        if bad is not None:
            statement.write_bytes(bad)
        with pytest.raises(ConfigError) as refused:
            read_own_key(tmp_path)
        assert refused.value.id == "key.rotations"


def test_a_second_rotation_that_got_no_further_than_its_new_key_is_finished(tmp_path: Path) -> None:
    create_pair(tmp_path)
    first = rotate(tmp_path, "prod-1", AT)
    create_file(tmp_path / NEXT_NAME, NEW.pem(), 0o600)
    done = rotate(tmp_path, "prod-1", AT)
    assert (done.number, done.old, done.new) == (2, first.new, NEW.public)
    assert read_own_key(tmp_path).public == NEW.public
