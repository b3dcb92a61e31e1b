"""``bridge inspect``: what a file says, who vouches for it, and its lines as they will leave."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.golden import generate
from tests.support.commands import bridge, make_node, on_a_terminal
from tests.support.spools import KEY, new_lane, seal_one

GOLDEN = Path(generate.__file__).parent
SIGNER = GOLDEN / "keys" / "signer.pub.pem"
STRANGER = GOLDEN / "keys" / "stranger.pub.pem"
GOOD: list[dict[str, Any]] = json.loads((GOLDEN / "good.json").read_bytes())
BAD: list[dict[str, str]] = [
    row
    for row in json.loads((GOLDEN / "bad.json").read_bytes())
    if (GOLDEN / row["file"]).is_file()
]
FIRST = GOLDEN / GOOD[0]["file"]


def lines_of(row: dict[str, Any]) -> bytes:
    return b"".join(line.encode() + b"\n" for line in row["lines"])


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_a_good_file_says_what_its_statement_says(row: dict[str, Any]) -> None:
    told = bridge("inspect", GOLDEN / row["file"], "--key", SIGNER, "--json")
    answer = told.answer
    assert (told.code, answer["schema"], answer["valid"]) == (0, "bridge.inspect/1", True)
    said = {name: answer[name] for name in row["statement"] if name != "v"}
    assert said == {name: value for name, value in row["statement"].items() if name != "v"}
    assert answer["digest"] == row["digest"]
    assert answer["signature"]["state"] == "verified"
    assert "error" not in answer


@pytest.mark.parametrize("row", BAD[::12], ids=lambda row: Path(row["file"]).name)
def test_a_bad_file_ends_with_four_and_its_error(row: dict[str, str]) -> None:
    told = bridge("inspect", GOLDEN / row["file"], "--key", SIGNER, "--json")
    assert (told.code, told.answer["error"]["id"]) == (4, row["error"])
    told = bridge("inspect", GOLDEN / row["file"], "--key", SIGNER)
    assert (told.code, f"[{row['error']}]" in told.err) == (4, True)


def test_who_names_a_folder_is_told_to_name_a_file_and_not_to_remove_it(tmp_path: Path) -> None:
    told = bridge("inspect", tmp_path, "--key", SIGNER)
    assert (told.code, "[file.kind]" in told.err) == (4, True)
    assert "Name a regular file itself: no folder, no link." in told.err


def test_for_people_it_says_who_what_how_many_and_whether_it_is_valid() -> None:
    text = bridge("inspect", FIRST, "--key", SIGNER).out.decode()
    for word in ("prod-1/transactions 1", "valid      yes", "verified", "records    2", "by  age"):
        assert word in text
    losses = [row for row in GOOD if "lost" in row["statement"] or "of" in row["statement"]]
    assert losses
    for row in losses:
        text = bridge("inspect", GOLDEN / row["file"], "--key", SIGNER).out.decode()
        assert "\nlost " in text or "\nsaved from" in text


def test_without_a_key_it_says_that_nobody_vouched_and_does_not_fail(tmp_path: Path) -> None:
    told = bridge("inspect", FIRST, cwd=tmp_path)
    assert told.code == 0
    assert b"could not tell, no key given" in told.out
    assert b"valid      yes" not in told.out
    answer = bridge("inspect", FIRST, "--json", cwd=tmp_path).answer
    assert answer["signature"]["state"] == "unknown"
    assert bridge("--config", tmp_path / "none.yaml", "inspect", FIRST).code == 78


def test_without_a_key_changed_bytes_fail_all_the_same(tmp_path: Path) -> None:
    told = bridge("inspect", GOLDEN / "bad" / "data-bit-flipped.ndjson.zst", cwd=tmp_path)
    assert (told.code, "[segment.digest]" in told.err) == (4, True)


def test_another_key_is_not_trusted(tmp_path: Path) -> None:
    told = bridge("inspect", FIRST, "--key", STRANGER, "--json")
    assert (told.code, told.answer["signature"]["state"]) == (4, "untrusted")
    assert told.answer["error"]["id"] == "key.untrusted"
    both = bridge("inspect", FIRST, "--key", STRANGER, "--key", SIGNER)
    assert both.code == 0
    config = make_node(tmp_path / "node")
    assert bridge("--config", config, "inspect", FIRST).code == 4
    forged = GOLDEN / "bad" / "signature-bit-flipped.ndjson.zst"
    told = bridge("inspect", forged, "--key", SIGNER, "--json")
    assert (told.code, told.answer["signature"]["state"]) == (4, "bad")


@pytest.mark.parametrize("row", GOOD, ids=lambda row: Path(row["file"]).name)
def test_records_into_a_pipe_are_the_exact_bytes(row: dict[str, Any]) -> None:
    path = GOLDEN / row["file"]
    told = bridge("inspect", path, "--records", "--key", SIGNER)
    assert (told.code, told.out) == (0, lines_of(row))
    assert str(path) in told.err
    stock = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    assert told.out == stock


def test_the_first_records_alone_and_in_json() -> None:
    row = GOOD[0]
    first = row["lines"][0].encode() + b"\n"
    assert bridge("inspect", FIRST, "--records", "1", "--key", SIGNER).out == first
    assert bridge("inspect", FIRST, "--records=0", "--key", SIGNER).out == b""
    assert bridge("inspect", FIRST, "--records", "9", "--key", SIGNER).out == lines_of(row)
    assert bridge("inspect", "--key", SIGNER, "--records", FIRST).out == lines_of(row)
    answer = bridge("inspect", FIRST, "--records", "1", "--json", "--key", SIGNER).answer
    assert answer["lines"] == row["lines"][:1]
    assert bridge("inspect", FIRST, "--records", "--json").answer["lines"] == row["lines"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--records"], [str(FIRST), "--records", "x"], [str(FIRST), "--records=-1"]],
)
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    assert bridge("inspect", *arguments).code == 2


def test_records_of_a_bad_file_are_not_shown() -> None:
    for name in ("data-bit-flipped", "signature-bit-flipped", "signed-by-a-stranger"):
        path = GOLDEN / "bad" / f"{name}.ndjson.zst"
        told = bridge("inspect", path, "--records", "--key", SIGNER)
        assert (told.code, told.out) == (4, b"")
        answer = bridge("inspect", path, "--records", "--json", "--key", SIGNER).answer
        assert answer["lines"] == []


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A well signed segment whose lines would act on a terminal."""
    lane = new_lane(tmp_path / "spool")
    seal_one(lane, ['{"id":"\x1b[2J\x9b\u202e\u200b\r"}'.encode(), b'{"id":"\xff\xfe"}'])
    return lane.segment(1)


def test_records_cannot_act_on_a_terminal(hostile: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pub.pem"
    key.write_bytes(KEY.public.pem())
    shown = on_a_terminal(["inspect", hostile, "--records", "--key", key]).decode()
    assert not set("\x1b\x9b\u202e\u200b") & set(shown)
    assert shown.count("\r") == shown.count("\r\n") == 2  # the terminal's own line ends
    assert "\\x1b[2J" in shown
    piped = bridge("inspect", hostile, "--records", "--key", key).out
    assert b"\x1b[2J" in piped
    told = bridge("inspect", hostile, "--records", "--json", "--key", key)
    assert (told.code, b"\x1b" in told.out, len(told.answer["lines"])) == (0, False, 2)


def test_names_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[2J\u202e\r.zst"
    path.write_bytes(FIRST.read_bytes())
    for more in ([], ["--json"], ["--records"]):
        told = bridge("inspect", path, "--key", SIGNER, *more)
        assert told.code == 0
        assert not set("\x1b\u202e\r") & set(told.out.decode() + told.err)


def test_a_path_that_is_no_file_ends_with_four(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(FIRST)
    expected = {
        "none": "file.missing",
        "empty": "segment.blank",
        "fifo": "file.kind",
        "link": "file.kind",
        ".": "file.kind",
    }
    for name, problem in expected.items():
        told = bridge("inspect", tmp_path / name, "--key", SIGNER, "--json")
        assert (told.code, told.answer["error"]["id"]) == (4, problem), name


def test_a_segment_in_the_wrong_place_is_said(tmp_path: Path) -> None:
    path = tmp_path / "prod-1" / "transactions" / "sealed" / "00000000" / "000000000007.ndjson.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(FIRST.read_bytes())
    told = bridge("inspect", path, "--key", SIGNER)
    assert (told.code, "[segment.place]" in told.err) == (4, True)
