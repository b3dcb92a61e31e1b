"""``docs/formats.md`` says what the code does: its example, its limits, its refusals, its recipe."""

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from spool import egressfile, frontier, head, lane
from spool import statement as statements
from spool.clock import parse_rfc3339
from spool.lane import Lane
from spool.plainstatement import SEALED_WITH_RECORDS
from tests.golden import generate
from tests.support.spools import FAST

GOLDEN = Path(generate.__file__).parent
DOCUMENT = (GOLDEN.parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLE = GOLDEN / "good" / "transactions-000000000001-age.ndjson.zst"
BAD: list[dict[str, str]] = json.loads((GOLDEN / "bad.json").read_bytes())


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def _rows(section: str) -> list[list[str]]:
    """The rows of the table in a section, without its head."""
    text = re.split(r"^#+ ", DOCUMENT.partition(f"\n## {section}\n")[2], flags=re.MULTILINE)[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def _json(*members: str) -> bytes:
    """The one JSON block that begins with these members."""
    found = [
        block for block in _blocks("json") if list(_names(block))[: len(members)] == [*members]
    ]
    assert len(found) == 1
    return found[0].strip().encode()


def _names(block: str) -> list[str]:
    return [] if "…" in block else list(json.loads(block))


def test_the_example_is_the_golden_file_byte_for_byte() -> None:
    (block,) = _blocks("hex")
    lines = [line.partition(": ")[2][: 16 * 3] for line in block.splitlines()]
    assert bytes.fromhex("".join(lines)) == EXAMPLE.read_bytes()
    offsets = [int(line.partition(":")[0], 16) for line in block.splitlines()]
    assert offsets == list(range(0, EXAMPLE.stat().st_size, 16))


def test_the_statement_is_that_of_the_example() -> None:
    payload = _json("v", "node")
    (row,) = (row for row in _good() if row["file"].endswith(EXAMPLE.name))
    assert statements.digest_of(payload) == row["digest"]


def _good() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((GOLDEN / "good.json").read_bytes())
    return rows


def test_every_offset_of_the_example_is_right() -> None:
    data = EXAMPLE.read_bytes()
    assert data[:4] == (0xFD2FB528).to_bytes(4, "little")
    assert int.from_bytes(data[0x05:0x09], "little") == 164
    assert int.from_bytes(data[0x09:0x0C], "little") == 0x000521
    assert data[0x0C:0xB0].count(b"\n") == 2
    assert data[0xB4:0xB8] == (0x184D2A5B).to_bytes(4, "little")
    assert int.from_bytes(data[0xB8:0xBC], "little") == 921
    assert len(data[0xBC:0x451]) == 917
    assert int.from_bytes(data[0x451:0x455], "little") == 929
    assert len(data) == 0x455


@pytest.mark.parametrize("row", _rows("Limits"), ids=lambda row: row[2].strip("`"))
def test_every_limit_is_the_constant_in_the_code(row: list[str]) -> None:
    module, _, name = row[2].strip("`").rpartition(".")
    assert int(row[1]) == getattr(import_module(module), name)


def test_the_statement_table_has_its_members_in_the_order_of_the_writer() -> None:
    names = re.findall(r"`(\w+)`", " ".join(row[0] for row in _rows("The statement")))
    every = list(dict.fromkeys(name for row in _good() for name in row["statement"]))
    assert sorted(names) == sorted(every)
    (first,) = (row["statement"] for row in _good() if row["file"].endswith(EXAMPLE.name))
    assert names[: len(first)] == list(first)


def test_the_forms_of_names_are_those_of_the_code() -> None:
    forms = {row[0].strip("`"): row[2] for row in _rows("The statement")}
    assert f"`{lane.NODE_NAME}`" in forms["node"]
    assert all(f"`{name}`" in forms["node"] for name in lane.RESERVED_NAMES)
    assert forms["stream"] == f"`{lane.STREAM_NAME}`"
    reasons = SEALED_WITH_RECORDS + statements.SEALED_WITHOUT
    assert re.findall(r"`(\w+)`", forms["reason"]) == list(reasons)


def test_every_reason_to_follow_and_every_state_of_egress_is_named() -> None:
    for name in statements.FOLLOWS_WHY + egressfile.STATES:
        assert f"`{name}`" in DOCUMENT


def test_every_refusal_names_exactly_its_golden_files() -> None:
    said = {
        row[0].strip("`"): re.findall(r"`([^`]+)`", row[3])
        for row in _rows("What a reader MUST refuse")
    }
    made: dict[str, list[str]] = {}
    for row in BAD:
        name = row["file"].removeprefix("bad/").removesuffix(".ndjson.zst")
        made.setdefault(row["error"], []).append(name)
    assert {error: names for error, names in said.items() if names} == made


def test_every_refusal_is_raised_somewhere_in_the_code() -> None:
    rooms = [*GOLDEN.parents[1].glob("keys/*.py"), *GOLDEN.parents[1].glob("spool/*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in rooms)
    for error, *_ in _rows("What a reader MUST refuse"):
        problem = error.strip("`").partition(".")[2]
        assert f'"{error.strip("`")}"' in text or f'"{problem}"' in text, error


def test_the_small_files_are_as_the_code_writes_them(tmp_path: Path) -> None:
    said = _json("v", "chain", "first")
    assert head.encode(head.decode(said)) == said
    delivered = [each for each in _blocks("json") if list(_names(each))[:2] == ["v", "chains"]]
    for block in delivered:
        assert frontier.encode(frontier.parse(block.strip().encode())) == block.strip().encode()
    assert len(delivered) == len({frontier.PLAIN_VERSION, frontier.VERSION})
    said, path = _json("v", "state"), tmp_path / "egress.json"
    path.write_bytes(said)
    told = egressfile.read_egress_state(tmp_path)
    assert told is not None
    assert told.waiting == ["prod-1/logs"]
    at, waiting = parse_rfc3339(told.since), [Lane(tmp_path, "prod-1", "logs")]
    egressfile.write_egress_state(FAST, tmp_path, told.state, at, told.reason, waiting=waiting)
    assert path.read_bytes() == said


def test_the_recipe_verifies_the_example(tmp_path: Path) -> None:
    (recipe,) = (block for block in _blocks("sh") if "pkeyutl" in block)
    shutil.copy(EXAMPLE, tmp_path / "FILE")
    shutil.copy(GOLDEN / "keys" / "signer.pub.pem", tmp_path / "node.pub.pem")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", recipe],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads((tmp_path / "payload").read_bytes())
    assert done.stdout.split() == ["Signature", "Verified", "Successfully", said["sha256"], "-"]
