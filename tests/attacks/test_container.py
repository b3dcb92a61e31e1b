"""The container (69 to 82): one form, judged header by header before anything in it is believed."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spool.frames import FrameEncoder
from tests.golden import bundles as golden
from tests.golden.build import LINES, SIGNER, block, compact, frame, signed, statement
from tests.support import crossings
from tests.support.apart import run_apart
from tests.support.attacks import Arena, Attack, Command, Home, each, ids
from tests.support.crossings import (
    IMPORT_GOOD,
    Held,
    bundle_of,
    golden_bundle,
    importing,
    members_of,
)

REFUSED, NO_ROOM = 4, 5
CPU_MAX_S = 1.0
"""Seconds of processor for a whole container; most take a hundredth."""
PART = 1024
"""Files that are imported at once, so that what they cost together stays below what one may cost."""
GOOD = golden_bundle("good.agb")
MEMBERS = members_of("good.agb")
NAMES = [
    "../x", "/abs", "a/../../b", "..\\x", "C:x", "a:stream", "segments/n/logs/../1.ndjson.zst",
    "seg/x/1.zst\n", "segments/n/logs/000000000003.ndjson.zst\n", "x\0y", "",
    "segments/N/logs/000000000003.ndjson.zst", "segments/n/logs/3.ndjson.zst", "keys/x.dsse.json",
]  # fmt: skip
KINDS = {
    "symlink": (tarfile.SYMTYPE, "header"),
    "hardlink": (tarfile.LNKTYPE, "header"),
    "fifo": (tarfile.FIFOTYPE, "header"),
    "char-device": (tarfile.CHRTYPE, "header"),
    "block-device": (tarfile.BLKTYPE, "header"),
    "folder": (tarfile.DIRTYPE, "member"),  # Python ends its name with a slash
    "contiguous": (tarfile.CONTTYPE, "header"),
    "old-file": (tarfile.AREGTYPE, "header"),
    "sparse": (tarfile.GNUTYPE_SPARSE, "header"),
    "gnu-long-name": (tarfile.GNUTYPE_LONGNAME, "header"),
    "pax": (tarfile.XHDTYPE, "header"),
    "pax-global": (tarfile.XGLTYPE, "header"),
}
CLAIMS: dict[str, dict[str, object]] = {
    "setuid": {"mode": 0o4755}, "owner": {"uid": 1}, "group": {"gid": 1}, "time": {"mtime": 1},
    "owners-name": {"uname": "root"}, "groups-name": {"gname": "root"},
}  # fmt: skip


def with_member(name: str) -> bytes:
    """The good bundle, and one member more of this name."""
    return golden.ustar([*MEMBERS, (name, b"x")])


def first_as(**changes: object) -> bytes:
    """The good bundle by Python's tarfile, with these words in the manifest's header."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in MEMBERS:
            info = tarfile.TarInfo(name)
            info.size, info.mode, held = len(data), 0o644, io.BytesIO(data)
            if name == MEMBERS[0][0]:
                for word, value in changes.items():
                    setattr(info, word, value)
                if not info.isreg():
                    info.size, held = 0, io.BytesIO()
            tar.addfile(info, held)
    whole = target.getvalue()
    return whole[: len(whole.rstrip(b"\0")) + -len(whole.rstrip(b"\0")) % 512 + 1024]


def size_as(digits: bytes) -> bytes:
    """The good bundle, whose first member claims another size under a right checksum."""
    block = bytearray(GOOD[:512])
    block[124:135] = digits
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + GOOD[512:]


def climbing() -> bytes:
    """As in CVE-2025-4517: folders and links so long that what resolves them gives up, then a file."""
    target = io.BytesIO()
    folder = "d" * 247
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        path = ""
        for step in "abcdefghijklmnop":
            for name, kind, link in (
                (folder, tarfile.DIRTYPE, ""), (step, tarfile.SYMTYPE, folder),
            ):  # fmt: skip
                info = tarfile.TarInfo(f"{path}{name}")
                info.type, info.linkname = kind, link
                tar.addfile(info)
            path += f"{step}/"
        for name, kind, link in (
            ("escape", tarfile.SYMTYPE, f"{path}{'../' * 20}tmp"), ("escape/victim", b"0", ""),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return target.getvalue()


def flipped(at: int) -> bytes:
    return GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]


def attack(number: int, name: str, error: str, data: bytes) -> Attack:
    made = importing(data)
    return Attack(
        number, name, made, f"container.{error}", REFUSED, IMPORT_GOOD, cpu_max_s=CPU_MAX_S
    )


def padding() -> int:
    """Where the first byte of padding stands."""
    return 512 + len(MEMBERS[0][1])


ATTACKS = [
    *(attack(69, f"name-{n}", "member", with_member(name)) for n, name in enumerate(NAMES)),
    *(
        attack(70, name, error, first_as(type=kind, linkname="x"))
        for name, (kind, error) in KINDS.items()
    ),
    *(attack(70, name, "header", first_as(**more)) for name, more in CLAIMS.items()),
    attack(71, "a-member-twice", "repeated", golden.ustar([*MEMBERS, MEMBERS[1]])),
    attack(73, "cve-2025-4517", "member", climbing()),
    attack(74, "negative", "member", size_as(b"-0000000001")),
    attack(74, "negative-in-base-256", "member", size_as(b"\xff" * 11)),
    attack(74, "huge-in-base-256", "member", size_as(b"\x80" + b"\0" * 10)),
    attack(74, "all-sevens", "truncated", size_as(b"77777777777")),
    attack(74, "with-a-space", "member", size_as(b"0000000000 ")),
    attack(76, "checksum", "header", flipped(150)),
    attack(76, "padding", "padding", flipped(padding())),
    attack(76, "one-zero-block", "truncated", GOOD[:-512]),
    attack(76, "a-byte-after-the-end", "end", GOOD + b"x"),
    attack(76, "a-block-after-the-end", "end", GOOD + bytes(512)),
    attack(80, "zip", "member", b"PK\x03\x04".ljust(2048, b"x")),
    attack(80, "7z", "member", b"7z\xbc\xaf\x27\x1c".ljust(2048, b"x")),
    attack(80, "html", "member", b"<html>".ljust(2048, b" ")),
    attack(80, "elf", "member", b"\x7fELF".ljust(2048, b"\0")),
    attack(80, "nothing", "truncated", b""),
]


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@each(ATTACKS)
def test_attack(relays: Arena, attack: Attack) -> None:
    victim = Path("/tmp/victim")  # noqa: S108 - where attack 73 would write
    relays.check(attack)
    assert not victim.exists()


def large() -> bytes:
    """A bundle of one segment with more than two mebibytes that do not compress."""
    raw = b"".join(b'{"id":"%s"}\n' % os.urandom(4000).hex().encode() for _ in range(700))
    frames = FrameEncoder().encode(raw)
    assert len(frames) > 2 * 2**20
    return bundle_of(Held(1, signed(frames, statement(frames, raw)), raw))


def test_attack_078_more_than_the_spool_may_take_is_refused_before_a_byte_is_written(
    relays: Arena,
) -> None:
    data = large()

    def into(size: str) -> Callable[[Home], Command]:
        def made(home: Home) -> Command:
            with home.config.open("a") as file:
                file.write(f"spool: {{max_size: {size}, min_free: 0}}\n")
            return importing(data)(home)

        return made

    relays.check(Attack(78, "quota", into("2MiB"), "spool.no_room", NO_ROOM, into("4MiB")))


def test_attack_078_a_duplicate_needs_no_room(relays: Arena) -> None:
    home = relays.fresh()
    command = importing(large())(home)
    assert home.run(*command).code == 0
    with home.config.open("a") as file:
        file.write("spool: {max_size: 2MiB, min_free: 0}\n")
    told = home.run(*command)
    assert (told.code, told.answer["items"][0]["segments"]["duplicate"]) == (0, 1)


def test_attack_078_ten_gibibytes_of_holes_are_refused_by_their_manifest(relays: Arena) -> None:
    home = relays.fresh()
    said = golden.manifest()
    said["members"][0]["size"] = 10 * 2**30
    path = home.put("came.agb", golden.ustar([("manifest.dsse.json", _sealed(said))])[:-1024])
    os.truncate(path, 10 * 2**30)
    before = home.state()
    told = home.run("import", "--json", path)
    assert (told.code, ids(told)) == (REFUSED, ["container.end"])
    assert home.state() == before


def _sealed(said: object) -> bytes:
    return golden.envelope(compact(said), golden.BUNDLE, SIGNER)


def test_attack_081_a_cut_at_any_byte_is_refused(relays: Arena) -> None:
    def cut(sizes: range) -> Callable[[Home], Command]:
        def made(home: Home) -> Command:
            return ("import", "--json", *(home.put(f"{n:05d}.agb", GOOD[:n]) for n in sizes))

        return made

    whole = cut(range(len(GOOD), len(GOOD) + 1))
    for first in range(0, len(GOOD), PART):
        sizes = range(first, min(first + PART, len(GOOD)))
        attack = Attack(81, "", cut(sizes), "container.truncated", REFUSED, whole)
        told = relays.check(attack)
        assert ids(told) == ["container.truncated"] * len(sizes)


@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="strace is not here")
@pytest.mark.parametrize("when", [1, 4, 6, 9])
def test_attack_082_a_medium_that_goes_in_the_middle_is_told_and_the_import_goes_on_later(
    relays: Arena, when: int
) -> None:
    home = relays.fresh()
    path = home.put("came.agb", GOOD)
    _import_while_reads_fail(home, path, when)
    told = home.run("import", "--json", path)
    assert told.code == 0, told
    segments = told.answer["items"][0]["segments"]
    assert segments["new"] + segments["duplicate"] == 2
    assert home.run("verify", home.spool).code == 0


@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="strace is not here")
@pytest.mark.parametrize("when", [12, 20])
def test_attack_082_a_read_that_fails_in_a_thread_that_copies_segments_is_told_as_well(
    relays: Arena, when: int
) -> None:
    home = relays.fresh()
    raw = LINES * 12_000
    parts = [raw[at : at + 100_000] for at in range(0, len(raw), 100_000)]
    blocks = [*(block(part, last=False) for part in parts[:-1]), block(parts[-1], last=True)]
    lines, frames = raw * 12, frame(raw, blocks=b"".join(blocks)) * 12
    path = home.put("came.agb", bundle_of(Held(1, signed(frames, statement(frames, lines)), lines)))
    # The reads of each thread are counted by themselves, and the first thread has fewer.
    assert _import_while_reads_fail(home, path, when) == {"another thread"}
    told = home.run("import", "--json", path)
    assert (told.code, told.answer["items"][0]["segments"]["new"]) == (0, 1)


def _import_while_reads_fail(home: Home, path: Path, when: int) -> set[str]:
    """An import each of whose threads reads the bundle ``when`` - 1 times; which of them failed."""
    before = home.state()
    log = home.stick / "strace.log"
    strace: list[str | Path] = [
        "strace", "-f", "-o", log, "-P", path, "-e", "trace=pread64",
        "-e", f"inject=pread64:error=EIO:when={when}+",
    ]  # fmt: skip
    told = run_apart(home, "import", "--json", path, under=strace)
    assert told.code == REFUSED, told
    assert ids(told) == ["file.unreadable"]
    held = {name for name, said in home.state().items() if said != before.get(name)}
    assert all(".importing/" not in name for name in held)
    traced = log.read_text().splitlines()
    log.unlink()
    first = traced[0].split()[0]
    failed = {line.split()[0] for line in traced if "INJECTED" in line}
    return {"the first thread" if thread == first else "another thread" for thread in failed}
