"""The golden files: what they are, how they read, and what each bad one is refused with."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError
from spool import statement as statements
from spool.lane import lanes
from spool.plainstatement import SEALED_WITH_RECORDS
from spool.secrets import NO_SECRETS
from spool.segment import Segment, check_link, make_seal
from spool.statement import Statement
from spool.streams import STREAMS, stream_named
from tests.golden import generate
from tests.support.spools import lines_of

GOLDEN = Path(generate.__file__).parent
GOOD: list[dict[str, Any]] = json.loads((GOLDEN / "good.json").read_bytes())
BAD: list[dict[str, str]] = json.loads((GOLDEN / "bad.json").read_bytes())
SIGNER = PublicKey.from_pem((GOLDEN / "keys" / "signer.pub.pem").read_bytes())
KEYS = {SIGNER.id: SIGNER}


def _signing_key() -> SigningKey:
    seed = bytes.fromhex((GOLDEN / "keys" / "signer.seed").read_text(encoding="ascii"))
    return SigningKey(seed)


def _read(path: Path) -> tuple[Statement, str, bytes]:
    """Statement, digest and records, after every check that one file allows."""
    with Segment.open(path) as segment:
        segment.check_digest()
        segment.check_signature(KEYS)
        return segment.statement, segment.digest, lines_of(segment)


def _read_spool(spool: Path) -> None:
    """Read all lanes of a spool, in their places and in order."""
    for lane in lanes(spool):
        previous = None
        for seq in lane.sealed_numbers():
            with Segment.open(lane.segment(seq)) as segment:
                segment.check_place(lane.node, lane.stream, seq)
            said, digest, _ = _read(lane.segment(seq))
            if previous is not None:
                check_link(*previous, said)
            previous = said, digest


def test_generating_anew_gives_the_committed_files_byte_for_byte() -> None:
    made = generate.files()
    folders = ("good/", "bad/")
    found = {
        str(path.relative_to(GOLDEN)): path.read_bytes()
        for folder in folders
        for path in (GOLDEN / folder).rglob("*")
        if path.is_file()
    }
    assert {name: data for name, data in made.items() if name.startswith(folders)} == found
    for name in made.keys() - found.keys():
        assert (GOLDEN / name).read_bytes() == made[name], name


def test_generating_into_a_folder_writes_every_file(tmp_path: Path) -> None:
    generate.write(tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(generate.files())


def test_the_golden_files_are_small() -> None:
    assert sum(len(data) for data in generate.files().values()) < 700_000


def test_there_is_a_good_file_of_every_reason_and_every_stream() -> None:
    said = [row["statement"] for row in GOOD]
    reasons = SEALED_WITH_RECORDS + statements.SEALED_WITHOUT
    assert {row["reason"] for row in said} == set(reasons)
    assert {row["stream"] for row in said} == set(STREAMS)
    assert [
        name for name in ("follows", "lost", "of") if not any(name in row for row in said)
    ] == []


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_a_good_file_reads_as_its_statement_and_its_lines(row: dict[str, Any]) -> None:
    said, digest, lines = _read(GOLDEN / row["file"])
    assert json.loads(statements.encode(said)) == row["statement"]
    assert digest == row["digest"]
    assert lines.decode().splitlines() == row["lines"]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_our_writer_makes_the_same_seal(row: dict[str, Any]) -> None:
    path = GOLDEN / row["file"]
    said, digest, _ = _read(path)
    seal, made = make_seal(said, _signing_key())
    assert path.read_bytes()[said.size :] == seal
    assert made == digest


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_a_good_line_is_one_that_its_stream_makes_of_it(row: dict[str, Any]) -> None:
    stream = stream_named(row["statement"]["stream"])
    for line in row["lines"]:
        assert stream.to_lines(line.encode(), NO_SECRETS).lines == [line.encode()]


def test_good_files_of_one_chain_link_to_each_other() -> None:
    read = [_read(GOLDEN / row["file"]) for row in GOOD]
    linked = 0
    for (previous, digest, _), (said, _, _) in pairwise(read):
        if (previous.stream, previous.chain) == (said.stream, said.chain):
            check_link(previous, digest, said)
            linked += 1
    assert linked == 9


@pytest.mark.parametrize("row", BAD, ids=lambda row: Path(row["file"]).name)
def test_a_bad_file_is_refused_with_exactly_its_error(row: dict[str, str]) -> None:
    path = GOLDEN / row["file"]
    with pytest.raises(VerificationError) as caught:
        _read_spool(path) if path.is_dir() else _read(path)
    assert caught.value.id == row["error"]


@pytest.mark.parametrize(
    "row", [row for row in BAD if (GOLDEN / row["file"]).is_dir()], ids=lambda row: row["file"]
)
def test_each_segment_of_a_bad_spool_is_good_by_itself(row: dict[str, str]) -> None:
    for path in (GOLDEN / row["file"]).rglob("*.zst"):
        _read(path)


def test_every_bad_file_says_why_and_no_two_are_the_same() -> None:
    assert all(row["why"] for row in BAD)
    data = [
        hashlib.sha256(path.read_bytes()).digest()
        for row in BAD
        if (path := GOLDEN / row["file"]).is_file()
    ]
    assert len(set(data)) == len(data)
