"""The container: one form only; everything else that tar can say is refused (attacks 69 to 81)."""

import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.transfer.ustar import BLOCK, END, MEMBERS_MAX, header, members, padding, total_size
from keys.errors import VerificationError

LONG = "segments/" + "n" * 63 + "/" + "s" * 32 + "/000000000042.ndjson.zst"
NAMES = ["manifest.dsse.json", "segments/n/logs/000000000001.ndjson.zst", LONG]


def container(*found: tuple[str, bytes]) -> bytes:
    parts = [header(name, len(data)) + data + padding(len(data)) for name, data in found]
    return b"".join(parts) + END


GOOD = container((NAMES[0], b"{}"), (NAMES[1], b"x" * 700), (NAMES[2], b""))


def read(data: bytes) -> list[tuple[str, bytes]]:
    fd = os.memfd_create("container")
    try:
        os.write(fd, data)
        return [
            (member.name, os.pread(fd, member.size, member.offset))
            for member in members(fd, len(data))
        ]
    finally:
        os.close(fd)


def refused(data: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        read(data)
    return caught.value.id


def test_what_is_written_is_read_and_its_size_is_known_before() -> None:
    assert read(GOOD) == [(NAMES[0], b"{}"), (NAMES[1], b"x" * 700), (NAMES[2], b"")]
    assert total_size([2, 700, 0]) == len(GOOD)


def test_gnu_tar_and_python_list_and_extract_it(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(GOOD)
    told = subprocess.run(
        ["tar", "-tf", tmp_path / "b.tar"], check=True, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == NAMES
    assert told.stderr == ""
    with tarfile.open(tmp_path / "b.tar") as tar:
        found = tar.extractfile(NAMES[1])
        assert found is not None
        assert found.read() == b"x" * 700


NAMES_THAT_CLIMB = [
    "../x", "/abs", "a/../../b", "..\\x", "C:x", "a:stream", "segments/n/logs/../1.ndjson.zst",
    "segments/n/logs/000000000001.ndjson.zst\n", "segments/N/logs/000000000001.ndjson.zst",
    "segments/n/logs/1.ndjson.zst", "manifest.dsse.json ", "keys/x.dsse.json", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES_THAT_CLIMB)
def test_attack_69_a_member_of_another_name_is_refused(name: str) -> None:
    assert refused(container((name, b"x"))) == "container.member"


def made(**changes: object) -> bytes:
    """A container made by Python's tarfile, with one good name."""
    info = tarfile.TarInfo(NAMES[0])
    info.size = 2
    data: io.BytesIO | None = io.BytesIO(b"{}")
    for name, value in changes.items():
        setattr(info, name, value)
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        info.size, data = 0, None
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(info, data)
    return target.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
        tarfile.DIRTYPE, tarfile.CONTTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE,
    ],
)  # fmt: skip
def test_attack_70_what_is_no_plain_file_is_refused(kind: bytes) -> None:
    assert refused(made(type=kind, linkname="/etc/passwd")).startswith("container.")


@pytest.mark.parametrize(
    "change",
    [{"mode": 0o4755}, {"uid": 1}, {"gid": 1}, {"mtime": 1}, {"uname": "root"}, {"gname": "x"}],
    ids=str,
)
def test_attack_70_modes_owners_and_times_of_its_own_are_refused(change: dict[str, object]) -> None:
    base = {"mode": 0o644, "mtime": 0}
    assert refused(made(**(base | change))) == "container.header"


def test_attack_71_a_member_that_stands_there_twice_is_refused() -> None:
    assert refused(container((NAMES[0], b"a"), (NAMES[0], b"b"))) == "container.repeated"


def test_attack_74_a_negative_or_huge_size_is_refused_at_once() -> None:
    for digits in (
        b"-0000000001",
        b"\x80" + b"\0" * 10,
        b"\xff" * 11,
        b"77777777777",
        b"0000000000 ",
    ):
        block = bytearray(header(NAMES[0], 2))
        block[124:135] = digits
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        assert refused(bytes(block) + b"{}" + padding(2) + END).startswith("container.")


def test_attack_76_a_wrong_checksum_padding_or_end_is_refused() -> None:
    wrong = bytearray(GOOD)
    wrong[150] ^= 1
    assert refused(bytes(wrong)) == "container.header"
    wrong = bytearray(GOOD)
    wrong[BLOCK + 5] = 1
    assert refused(bytes(wrong)) == "container.padding"
    assert refused(GOOD[:-BLOCK]) == "container.truncated"
    for at in (1, BLOCK):
        wrong = bytearray(GOOD)
        wrong[-at] = 1
        assert refused(bytes(wrong)) == "container.end"
    assert refused(GOOD + b"x") == "container.end"
    assert refused(GOOD + bytes(BLOCK)) == "container.end"


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"<html>", b"\x7fELF", b""]
)
def test_attack_80_another_kind_of_file_is_refused(start: bytes) -> None:
    assert refused(start + b"x" * 2000 * bool(start)).startswith("container.")


def test_attack_81_a_cut_at_any_place_is_refused() -> None:
    for size in range(len(GOOD)):
        assert refused(GOOD[:size]).startswith("container.")


@pytest.mark.parametrize("cut", [1, BLOCK, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 1])
def test_what_was_cut_is_called_so_wherever_the_cut_is(cut: int) -> None:
    whole = container((NAMES[0], b"{}"))
    assert refused(whole[:-cut]) == "container.truncated"


def test_more_members_than_a_bundle_has_are_refused() -> None:
    found = [(f"segments/n/logs/{n:012d}.ndjson.zst", b"") for n in range(1, MEMBERS_MAX + 2)]
    assert refused(container(*found)) == "container.members"


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_any_change_of_a_header_is_refused_or_changes_only_contents(
    changes: Sequence[tuple[int, int]],
) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    try:
        found = read(bytes(data))
    except VerificationError:
        return
    assert [name for name, _ in found] == NAMES
    assert [len(content) for _, content in found] == [2, 700, 0]
