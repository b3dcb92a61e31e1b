"""What the daemon tells of its intake, and that nothing else is taken for it."""

from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.intakefile import FILE_MAX, IntakeSums, read_intake, write_intake
from tests.support.spools import FAST

AT = 1_795_424_400_000


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_intake(tmp_path) is None
    sums = IntakeSums(
        requests={"/v1/logs": 3},
        unrouted={"'/x\\u202e'…": 1},
        refused={"record.json": 2},
        repeated=7,
    )
    write_intake(FAST, tmp_path, IntakeSums(), since_ms=AT, at_ms=AT)
    write_intake(FAST, tmp_path, sums, since_ms=AT, at_ms=AT + 1)
    said = read_intake(tmp_path)
    assert said is not None
    assert said.sums == sums
    assert (said.since, said.at) == ("2026-11-23T09:00:00.000Z", "2026-11-23T09:00:00.001Z")


def test_the_most_that_is_counted_fits(tmp_path: Path) -> None:
    many = {f"{n:03}" + "\u2026" * 120: 2**53 - 1 for n in range(65)}
    write_intake(FAST, tmp_path, IntakeSums(unrouted=many), since_ms=AT, at_ms=AT)
    said = read_intake(tmp_path)
    assert said is not None
    assert said.sums.unrouted == many


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", b"[]", b'{"v":2}', b'{"v":1,"since":1,"at":"","sums":{}}', b" " * FILE_MAX * 2],
    ids=["empty", "junk", "list", "version", "type", "large"],
)
def test_what_is_not_from_the_daemon_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "intake.json").write_bytes(data)
    assert read_intake(tmp_path) is None


NAME = st.sampled_from(["v", "since", "at", "sums", "requests", "repeated"]) | st.text(max_size=3)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=5),
        max_leaves=9,
    )
)
def test_any_document_is_sums_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, found: object
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with suppress(TypeError):
        given_sums = {"v": 1, "since": "a", "at": "b", "sums": found}
        (folder / "intake.json").write_bytes(orjson.dumps(given_sums))
    said = read_intake(folder)
    assert said is None or all(
        isinstance(count, int) for count in [*said.sums.requests.values(), said.sums.repeated]
    )
