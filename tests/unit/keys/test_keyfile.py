"""Key files are made once, for their owner alone, and read with suspicion."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import ConfigError
from keys.keyfile import create_pair, read_public_key, read_signing_key


def private_error(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_signing_key(path)
    return caught.value.id


def stored(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "node.pem"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_pair_is_made_once_with_its_modes_and_kept(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    assert (tmp_path / "node.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "node.pub.pem").stat().st_mode & 0o777 == 0o644
    assert create_pair(tmp_path).public == key.public
    assert read_public_key(tmp_path / "node.pub.pem") == key.public


def test_a_missing_public_half_is_made_anew(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    (tmp_path / "node.pub.pem").unlink()
    assert create_pair(tmp_path).public == key.public
    assert read_public_key(tmp_path / "node.pub.pem") == key.public


def test_halves_of_two_keys_are_no_pair(tmp_path: Path) -> None:
    create_pair(tmp_path)
    (tmp_path / "node.pub.pem").write_bytes(SigningKey.generate().public.pem())
    with pytest.raises(ConfigError) as caught:
        create_pair(tmp_path)
    assert caught.value.id == "key.pair"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_private_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    assert private_error(stored(tmp_path, SigningKey.generate().pem(), mode)) == "key.mode"


def test_two_blocks_are_refused(tmp_path: Path) -> None:
    block = SigningKey.generate().pem()
    assert private_error(stored(tmp_path, block + block)) == "key.blocks"


@pytest.mark.parametrize("around", [(b"\n", b""), (b"x\n", b""), (b"", b"\n\n"), (b"", b"x")])
def test_anything_around_the_block_is_refused(tmp_path: Path, around: tuple[bytes, bytes]) -> None:
    block = SigningKey.generate().pem()
    assert private_error(stored(tmp_path, around[0] + block + around[1])) == "key.blocks"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["genpkey", "-algorithm", "x25519"], "key.type"),
        (["genpkey", "-algorithm", "ed25519", "-aes-128-cbc", "-pass", "pass:x"], "key.encrypted"),
    ],
)
def test_keys_of_another_kind_are_refused(tmp_path: Path, command: list[str], error: str) -> None:
    made = subprocess.run(["openssl", *command], check=True, capture_output=True).stdout
    assert private_error(stored(tmp_path, made)) == error


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    assert private_error(stored(tmp_path, b"")) == "key.blocks"
    junk = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert private_error(stored(tmp_path, junk)) == "key.encoding"


def test_a_link_or_a_fifo_is_not_followed_or_waited_for(tmp_path: Path) -> None:
    create_pair(tmp_path)
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "node.pem")
    with pytest.raises(OSError, match="symbolic"):
        read_signing_key(link)
    fifo = tmp_path / "fifo.pem"
    os.mkfifo(fifo, 0o600)
    assert private_error(fifo) == "key.file"


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        create_pair(tmp_path / "missing")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", [0, 1, 50, 118])
def test_a_key_that_the_disk_takes_a_part_of_is_an_error_and_leaves_nothing(
    tmp_path: Path, taken: int
) -> None:
    # A limit on the size of files cuts a write short, as a disk that fills up does; a process of
    # its own, because the limit is the process's.
    program = (
        "import resource, sys; from pathlib import Path; from keys.keyfile import create_pair\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({taken}, {taken}))\n"
        "try: create_pair(Path(sys.argv[1]))\n"
        "except OSError: sys.exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program, str(tmp_path)], check=False)
    assert done.returncode == 9
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["write", "fsync", "linkat,link"])
def test_a_kill_at_any_moment_leaves_no_part_of_a_key_under_its_name(
    tmp_path: Path, call: str
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    program = "import sys; from pathlib import Path; from keys.keyfile import create_pair\n"
    program += "create_pair(Path(sys.argv[1]))"
    folder = tmp_path / "keys"
    folder.mkdir()
    kill = f"{call}:signal=KILL:when=1"
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={kill}"]
    subprocess.run([*strace, sys.executable, "-B", "-c", program, str(folder)], check=False)
    assert "KILL" in trace.read_text()
    if (folder / "node.pem").exists():
        read_signing_key(folder / "node.pem")
    key = create_pair(folder)
    assert read_public_key(folder / "node.pub.pem") == key.public


def test_openssl_reads_the_pair_and_writes_the_same_bytes(tmp_path: Path) -> None:
    key = create_pair(tmp_path)
    private, public = tmp_path / "node.pem", tmp_path / "node.pub.pem"

    def pkey(*arguments: str) -> bytes:
        command = ["openssl", "pkey", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout

    assert pkey("-in", "node.pem") == private.read_bytes()
    assert pkey("-in", "node.pem", "-pubout") == public.read_bytes()
    assert pkey("-pubin", "-in", "node.pub.pem") == public.read_bytes()
    (tmp_path / "message").write_bytes(b"message")
    sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", "node.pem", "-in", "message"]
    made = subprocess.run(sign, cwd=tmp_path, check=True, capture_output=True).stdout
    assert made == key.sign(b"message")


def test_a_key_that_openssl_made_is_read(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True
    ).stdout
    assert read_signing_key(stored(tmp_path, made)).pem() == made


@pytest.mark.parametrize("read", [read_signing_key, read_public_key])
def test_what_is_wrong_with_a_key_is_told_with_its_file_and_what_to_do(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    label = b"PRIVATE" if read is read_signing_key else b"PUBLIC"
    junk = b"-----BEGIN %b KEY-----\nAAAA\n-----END %b KEY-----\n" % (label, label)
    path = stored(tmp_path, junk)
    with pytest.raises(ConfigError, match=re.escape(str(path))) as caught:
        read(path)
    assert caught.value.id == "key.encoding"
    assert "openssl genpkey" in caught.value.hint


def test_a_file_that_is_larger_than_a_key_may_be_is_refused_and_not_read(tmp_path: Path) -> None:
    begin, end = b"-----BEGIN PRIVATE KEY-----\n", b"\n-----END PRIVATE KEY-----"
    for size, error in ((4096, "key.encoding"), (4097, "key.blocks")):
        filler = b"A" * (size - len(begin) - len(end))
        path = stored(tmp_path, begin + filler + end)
        assert private_error(path) == error
    os.truncate(path, 2**40)  # a hole: no memory holds it
    assert private_error(path) == "key.blocks"
