"""What reads files of others ends with our error or a value, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.transfer import manifest, receipt, returnmanifest, ustar
from bridge.transfer.agefile import check_header
from bridge.transfer.bundle import opened
from keys.agerecipient import check_recipient
from keys.errors import VerificationError
from tests.golden import bundles as golden
from tests.golden.build import HERE, compact

GOOD = sorted(path.read_bytes() for path in (HERE / "bundles").glob("good.*"))


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """``data`` with some of its bytes changed, cut out or repeated."""
    place = st.integers(0, max(len(data) - 1, 0))

    def change(cuts: list[tuple[int, int, bytes]]) -> bytes:
        found = data
        for at, length, new in cuts:
            found = found[:at] + new + found[at + length :]
        return found

    cut = st.tuples(place, st.integers(0, 40), st.binary(max_size=40))
    return st.lists(cut, min_size=1, max_size=3).map(change)


def tried(work: Callable[[], object]) -> None:
    try:
        work()
    except VerificationError:
        return


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=3000), *(mutated(data) for data in GOOD)))
def test_a_container_is_read_or_refused(data: bytes) -> None:
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, data)
        tried(lambda: list(ustar.members(fd, len(data))))
    finally:
        os.close(fd)


@settings(max_examples=200)
@given(st.one_of(*(mutated(data) for data in GOOD)))
def test_a_bundle_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "fuzz.agb"
    path.write_bytes(data)

    def work() -> None:
        with opened(path, lambda _role, _name, _rotations: {}, None, None):
            pass

    tried(work)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), mutated(compact(golden.manifest_2())), JSON.map(compact)))
def test_a_manifest_is_read_or_refused(data: bytes) -> None:
    tried(lambda: manifest.decode(data))
    tried(lambda: manifest.decode(data, 2))


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), mutated(compact(golden.receipt())), JSON.map(compact)))
def test_a_receipt_is_read_or_refused(data: bytes) -> None:
    tried(lambda: receipt.decode_receipt(data))
    tried(lambda: returnmanifest.decode_return(data))


@given(st.one_of(st.binary(max_size=300), mutated(b"age-encryption.org/v1\n-> X25519 ")))
def test_a_header_of_age_is_good_or_refused(data: bytes) -> None:
    tried(lambda: check_header(data))


@given(st.text(max_size=80))
def test_a_recipient_is_good_or_refused(text: str) -> None:
    tried(lambda: check_recipient(text))
