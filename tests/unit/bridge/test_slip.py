"""What lies beside a bundle says what it is; what others left on the medium stays as it is."""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.transfer.checksums import SUMS
from bridge.transfer.manifest import decode
from bridge.transfer.receipt import Fork, LaneReceipt, Receipt, Refused, Span, decode_receipt
from bridge.transfer.returnmanifest import Return, decode_return
from bridge.transfer.slip import bundle_slip, drop_slip, return_slip, slip_of
from bridge.transfer.writing import Medium
from spool.ranges import Range
from tests.golden import bundles as golden
from tests.golden.build import compact

MEDIUM = Medium(12345, "a" * 64, reread=True)
MANIFEST = decode(compact(golden.manifest()))
RECEIPT = decode_receipt(compact(golden.receipt()))
RETURN = decode_return(golden.return_manifest(b"sealed"))
THEIRS = b"e" * 64 + b"  \xe4lter.iso\r"
"""A line of somebody else, in an encoding and with an end of theirs."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    path = folder / "inside-000001.agb"
    path.write_bytes(b"bundle")
    return path


def measured(path: Path) -> Medium:
    data = path.read_bytes()
    return Medium(len(data), hashlib.sha256(data).hexdigest(), reread=True)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def lay(path: Path) -> None:
    slip_of(path, "text\n", measured(path))


def line_of(path: Path) -> bytes:
    return f"{measured(path).sha256}  {path.name}".encode()


def test_slip_and_checksum_lie_beside_the_bundle_and_sha256sum_agrees(bundle: Path) -> None:
    lay(bundle)
    assert names(bundle.parent) == [SUMS, bundle.name, bundle.name + ".txt"]
    assert bundle.with_name(bundle.name + ".txt").read_bytes() == b"text\n"
    subprocess.run(["sha256sum", "-c", SUMS], cwd=bundle.parent, check=True, capture_output=True)


def test_the_lines_of_others_stay_to_the_byte_and_ones_own_stands_there_once(bundle: Path) -> None:
    sums = bundle.with_name(SUMS)
    sums.write_bytes(THEIRS + b"\n" + b"b" * 64 + b"  " + bundle.name.encode())
    lay(bundle)
    assert sums.read_bytes() == THEIRS + b"\n" + line_of(bundle) + b"\n"
    lay(bundle)
    assert sums.read_bytes() == THEIRS + b"\n" + line_of(bundle) + b"\n"


def test_a_name_in_another_encoding_is_noted_in_its_own_bytes(bundle: Path) -> None:
    odd = bundle.with_name("odd\udcff.agb")
    bundle.rename(odd)
    slip_of(odd, f"file {odd.name}\n", measured(odd))
    assert odd.with_name(odd.name + ".txt").read_bytes() == b"file odd\xff.agb\n"
    subprocess.run(["sha256sum", "-c", SUMS], cwd=odd.parent, check=True, capture_output=True)
    drop_slip(odd)
    assert not odd.with_name(SUMS).exists()


def test_what_is_gone_takes_its_slip_and_its_checksum_with_it_and_no_others(bundle: Path) -> None:
    other = bundle.with_name("inside-000002.agb")
    other.write_bytes(b"other")
    for path in (bundle, other):
        lay(path)
    bundle.unlink()
    drop_slip(bundle)
    assert names(bundle.parent) == [SUMS, other.name, other.name + ".txt"]
    assert bundle.with_name(SUMS).read_bytes() == line_of(other) + b"\n"
    drop_slip(other)
    assert names(bundle.parent) == [other.name]
    drop_slip(other)  # nothing is there any more


def test_a_link_in_the_place_of_the_checksums_is_not_read(bundle: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret\n")
    sums = bundle.with_name(SUMS)
    sums.symlink_to(secret)
    drop_slip(bundle)
    assert sums.is_symlink()
    lay(bundle)
    assert not sums.is_symlink()
    assert sums.read_bytes() == line_of(bundle) + b"\n"
    assert secret.read_bytes() == b"a secret\n"


@pytest.mark.parametrize("name", [SUMS, "inside-000001.agb.txt"])
def test_a_link_in_the_place_of_what_is_being_written_is_not_followed(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    bundle.with_name(f"{name}.part").symlink_to(victim)
    lay(bundle)
    assert victim.read_bytes() == b"precious"
    assert names(bundle.parent) == [SUMS, bundle.name, bundle.name + ".txt"]


@pytest.mark.parametrize("name", [SUMS, "inside-000001.agb.txt"])
def test_where_it_cannot_be_written_the_bundle_is_gone_too(bundle: Path, name: str) -> None:
    bundle.with_name(name).mkdir()
    with pytest.raises(OSError, match="directory"):
        lay(bundle)
    assert names(bundle.parent) == [name]


def test_a_slip_says_what_the_bundle_is_and_what_to_do(bundle: Path) -> None:
    text = bundle_slip(bundle.name, MANIFEST, MEDIUM)
    for line in (
        f"file      {bundle.name}",
        "size      12345 bytes",
        f"sha256    {MEDIUM.sha256}",
        "from      prod-1",
        "to        relay-1",
        "serial    7",
        "made      2026-11-23T12:00:00.000Z",
        f"holds     {sum(lane.records for lane in MANIFEST.lanes)} records in 2 segments",
        "note      week 48",
        "1. Compare the checksum:   sha256sum -c SHA256SUMS --ignore-missing",
        f"2. Hand it in:             bridge import {bundle.name}",
        "3. Later, ask relay-1 for the return bundle, and bring it back:",
        "                           bridge export --for prod-1 --to DIR",
    ):
        assert line in text.splitlines()
    assert text.endswith("\n")
    (lane,) = MANIFEST.lanes
    small = replace(
        MANIFEST, note="", lanes=(replace(lane, records=1),), members=MANIFEST.members[:1]
    )
    told = bundle_slip(bundle.name, small, MEDIUM).splitlines()
    assert {"note      -", "holds     1 record in 1 segment"} <= set(told)


CHAIN = "c" * 32


def spans(*runs: tuple[int, int, str]) -> tuple[Span, ...]:
    return tuple(Span(CHAIN, first, last, state, "d" * 64) for first, last, state in runs)


def told(*lanes: LaneReceipt) -> str:
    receipt: Receipt = replace(RECEIPT, lanes=lanes)
    return return_slip("back.agr", RETURN, receipt, MEDIUM)


def test_the_slip_of_a_return_bundle_counts_segments_by_what_became_of_them() -> None:
    logs = spans((1, 10, "delivered"), (11, 12, "quarantined"), (13, 15, "pending"))
    text = told(
        LaneReceipt("logs", logs, (), (), 0),
        LaneReceipt("traces", spans((1, 1, "pending"), (2, 4, "delivered")), (), (), 0),
    ).splitlines()
    assert "says of   19 segments: 13 delivered, 2 refused, 4 on their way" in text
    assert "missing   0" in text
    assert "token     -" in text
    assert "(bridge export --for prod-1 --to DIR)." in text
    assert not any("--resend" in line for line in text)
    assert "2. Hand it in:             bridge import back.agr" in text
    one = told(LaneReceipt("logs", spans((1, 1, "delivered")), (), (), 0))
    assert "says of   1 segment: 1 delivered, 0 refused, 0 on their way" in one.splitlines()
    for line in ("from      relay-1", "to        prod-1", "serial    3", "file      back.agr"):
        assert line in text


def test_the_slip_of_a_return_bundle_counts_what_was_refused_of_delivered_segments_and_forks() -> (
    None
):
    refused = Refused(1, 0, 422, "refused")
    (run,) = spans((1, 1, "delivered"))
    text = told(
        LaneReceipt("logs", (run,), (refused,), (), 0),
        LaneReceipt("traces", (), (), (), 0, (Fork(run, (refused, refused)),)),
    )
    assert "refused   3 records of them" in text.splitlines()


def test_the_slip_of_a_return_bundle_says_what_to_pack_again() -> None:
    text = told(
        LaneReceipt("logs", (), (), (Range(1, 3), Range(7, 7)), 0),
        LaneReceipt("traces", (), (), (Range(2, 2),), 0),
    ).splitlines()
    assert "missing   5" in text
    at = text.index("3. Pack again what relay-1 never got, and carry it there:")
    assert text[at + 1].strip() == "bridge export --resend back.agr --to DIR"
    assert text[at - 1].startswith("2. Hand it in:")


def test_the_slip_of_a_return_bundle_says_whether_a_token_is_in_it() -> None:
    (receipt,) = RETURN.members
    both: Return = replace(RETURN, members=(receipt, replace(receipt, name="token.jwt")))
    text = return_slip("back.agr", both, RECEIPT, MEDIUM)
    assert "token     a license token" in text.splitlines()
