"""This machine's key, the keys that it took over from, and how one takes over from another.

Beside ``node.pem`` lies the folder ``rotations`` with a statement for each time that the key was
changed. What an earlier key signed stays ours. A rotation that was killed is finished by the next one:
the new key lies under another name until its statement is durable, and replaces the old one at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keys.ed25519 import PublicKey, SigningKey
from keys.errors import ConfigError, VerificationError
from keys.keyfile import (
    PRIVATE_MODE,
    PRIVATE_NAME,
    PUBLIC_MODE,
    PUBLIC_NAME,
    create_file,
    read_public_key,
    read_signing_key,
)
from keys.rotation import ROTATION_MAX, ROTATIONS_MAX, Rotation, read_rotation, seal_rotation

ROTATIONS_NAME = "rotations"
NEXT_NAME = "next.pem"
"""The new key until it takes over."""
_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Statement:
    """A rotation, and the envelope that says it."""

    rotation: Rotation
    envelope: bytes


def read_own_key(folder: Path) -> SigningKey:
    """The key in ``folder``, which knows those it took over from.

    Raises :class:`ConfigError` ``key.*``, or :class:`OSError`.
    """
    key = read_signing_key(folder / PRIVATE_NAME)
    found = rotations_of(folder, key.public)
    key.took_over_from = tuple(each.rotation.old for each in found)
    key.rotations = tuple(each.envelope for each in found)
    return key


def own_public_keys(folder: Path) -> Mapping[str, PublicKey]:
    """All keys of this machine by id, by its public file; raises as :func:`read_own_key` does."""
    key = read_public_key(folder / PUBLIC_NAME)
    found = rotations_of(folder, key)
    return {each.id: each for each in (*(one.rotation.old for one in found), key)}


def rotations_of(folder: Path, current: PublicKey) -> list[Statement]:
    """The statements that lead to ``current``, in order; without one that a kill left unfinished.

    Raises :class:`ConfigError` ``key.rotations`` where they do not lead there, or :class:`OSError`.
    """
    found = _statements(folder / ROTATIONS_NAME)
    if found and found[-1].rotation.old == current:
        found.pop()
    if found and found[-1].rotation.new != current:
        raise _broken(f"they do not lead to the key in {PRIVATE_NAME}")
    return found


def rotate(folder: Path, name: str, made_at: str) -> Rotation:
    """Let a new key take over, or finish what a kill left half done.

    Nobody may sign meanwhile. Raises :class:`ConfigError` ``key.*``, or :class:`OSError`.
    """
    old = read_signing_key(folder / PRIVATE_NAME)
    place = folder / ROTATIONS_NAME
    place.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    found = _statements(place)
    waiting = folder / NEXT_NAME
    if found and found[-1].rotation.new == old.public and not waiting.exists():
        # Killed after the key was replaced, before its public half was?
        if read_public_key(folder / PUBLIC_NAME) != old.public:
            _replace(folder / PUBLIC_NAME, old.public.pem(), PUBLIC_MODE)
            return found[-1].rotation
    elif found and found[-1].rotation.old != old.public:
        rotations_of(folder, old.public)
    try:
        new = read_signing_key(waiting)
    except FileNotFoundError:
        new = SigningKey.generate()
        create_file(waiting, new.pem(), PRIVATE_MODE)
    if not (found and found[-1].rotation.new == new.public):
        if len(found) == ROTATIONS_MAX:
            raise _broken(f"there are {ROTATIONS_MAX} of them, and no reader takes more")
        number = len(found) + 1
        envelope = seal_rotation(number, name, made_at, old, new)
        create_file(place / _file(number), envelope, PUBLIC_MODE)
        found.append(Statement(read_rotation(envelope), envelope))
    waiting.replace(folder / PRIVATE_NAME)
    _replace(folder / PUBLIC_NAME, new.public.pem(), PUBLIC_MODE)
    return found[-1].rotation


def _statements(folder: Path) -> list[Statement]:
    """What lies in the folder of rotations, each statement following the one before."""
    found: list[Statement] = []
    for number in range(1, ROTATIONS_MAX + 1):
        try:
            fd = os.open(folder / _file(number), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            break
        with os.fdopen(fd, "rb") as file:
            envelope = file.read(ROTATION_MAX + 1)
        try:
            rotation = read_rotation(envelope)
        except VerificationError as error:
            raise _broken(f"{_file(number)}: {error.message}") from error
        before = found[-1].rotation.new if found else rotation.old
        if rotation.number != number or rotation.old != before:
            raise _broken(f"{_file(number)} does not follow the one before it")
        found.append(Statement(rotation, envelope))
    return found


def _file(number: int) -> str:
    return f"{number:06d}.dsse.json"


def _replace(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    create_file(temporary, data, mode)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _broken(why: str) -> ConfigError:
    return ConfigError(
        "key.rotations",
        f"The rotation statements of this machine's key are refused: {why}.",
        f"Put back the folder {ROTATIONS_NAME} from the copy that {PRIVATE_NAME} came from.",
    )
