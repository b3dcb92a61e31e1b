"""Age files made here: what the library and the command of others read, and what the format says."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pyrage
import pytest
from pyrage.x25519 import Identity

from bridge.transfer.agefile import check_header
from bridge.transfer.agewriting import CHUNK, AgeWriter, sealed_size
from bridge.transfer.enciphering import encipher
from bridge.transfer.sources import PIECE, Source
from keys.agerecipient import key_of
from keys.errors import VerificationError

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 777]
LOW_ORDER = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
"""A recipient whose point is zero: whatever is exchanged with it, everybody knows."""


def made(data: bytes, recipients: Sequence[str], piece: int = 2 * CHUNK) -> bytes:
    """The file of ``data``, that comes in pieces of this size."""
    writer = AgeWriter(recipients)
    room = memoryview(bytearray(sealed_size(piece)))
    out = writer.start
    left = memoryview(data)
    while len(left) > piece:
        out += room[: writer.seal(left[:piece], room)]
        left = left[piece:]
    return out + room[: writer.seal(left, room, last=True)]


def counting() -> Callable[[int], bytes]:
    """What is no randomness: the first bytes are 1, the next ones 2."""
    numbers = count(1)
    return lambda size: bytes([next(numbers)]) * size


@pytest.mark.parametrize("size", SIZES)
def test_the_library_of_others_opens_what_is_made_here(size: int) -> None:
    identities = [Identity.generate(), Identity.generate()]
    data = bytes(range(256)) * (size // 256 + 1)
    file = made(data[:size], [str(each.to_public()) for each in identities])
    assert {pyrage.decrypt(file, [each]) for each in identities} == {data[:size]}
    check_header(file)


@pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")
def test_the_command_age_opens_what_is_made_here(tmp_path: Path) -> None:
    identity = Identity.generate()
    (tmp_path / "age.key").write_text(f"{identity}\n")
    data = b"line\n" * 50_000
    (tmp_path / "file.age").write_bytes(made(data, [str(identity.to_public())]))
    command = ["age", "-d", "-i", str(tmp_path / "age.key"), str(tmp_path / "file.age")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == data


def test_no_empty_chunk_comes_after_others() -> None:
    writer = AgeWriter([str(Identity.generate().to_public())])
    room = memoryview(bytearray(sealed_size(CHUNK)))
    writer.seal(memoryview(bytes(CHUNK)), room)
    with pytest.raises(ValueError, match="empty"):
        writer.seal(memoryview(b""), room, last=True)


@pytest.mark.parametrize("beyond", [-512, 0, 512])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_container_that_ends_where_a_piece_does_opens(
    tmp_path: Path, pieces: int, beyond: int
) -> None:
    identity = Identity.generate()
    size = pieces * PIECE + beyond
    only = Source("manifest.dsse.json", size - 1536, bytes(size - 1536))  # between header and end
    fd = os.open(tmp_path / "file.age", os.O_RDWR | os.O_CREAT)
    try:
        encipher(fd, [only], [str(identity.to_public())], lambda _: None)
    finally:
        os.close(fd)
    assert len(pyrage.decrypt((tmp_path / "file.age").read_bytes(), [identity])) == size


def test_another_identity_opens_nothing() -> None:
    file = made(b"secret", [str(Identity.generate().to_public())])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(file, [Identity.generate()])


def test_a_file_is_cut_exchanged_or_longer_and_does_not_open() -> None:
    identity = Identity.generate()
    file = made(b"x" * (2 * CHUNK + 5), [str(identity.to_public())])
    start = len(file) - (2 * CHUNK + 5) - 3 * 16
    first, second = (file[at : at + CHUNK + 16] for at in (start, start + CHUNK + 16))
    rest = file[start + 2 * (CHUNK + 16) :]
    for changed in (
        file[:-1],
        file + b"x",
        file[: -len(rest)],
        file[:start] + second + first + rest,
    ):
        with pytest.raises((pyrage.DecryptError, OSError)):
            pyrage.decrypt(changed, [identity])


def test_no_two_files_share_a_key() -> None:
    recipient = str(Identity.generate().to_public())
    assert len({AgeWriter([recipient]).start for _ in range(20)}) == 20


def test_the_same_random_bytes_make_the_same_start() -> None:
    recipient = str(Identity.from_str(SECRET).to_public())
    assert AgeWriter([recipient], counting()).start == START


SECRET = "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN"
START = (
    b"age-encryption.org/v1\n"
    b"-> X25519 zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk\n"
    b"cuCugj7EPEhPwGGFh1uFsJ8VjoKg1NJRZ2PhXbo3Wg4\n"
    b"--- AFBc/tHpnrZQc58zw9jP9d244XEKLNeonwVE3hYNnVM\n"
) + b"\x03" * 16


def test_a_recipient_whose_secret_everybody_knows_is_refused() -> None:
    assert key_of(LOW_ORDER) == bytes(32)
    with pytest.raises(VerificationError) as caught:
        AgeWriter([LOW_ORDER])
    assert caught.value.id == "recipient.form"


def test_a_recipient_spells_its_public_key() -> None:
    identity = Identity.generate()
    assert len(key_of(str(identity.to_public()))) == 32
    with pytest.raises(VerificationError):
        key_of("age1" + "q" * 58)
