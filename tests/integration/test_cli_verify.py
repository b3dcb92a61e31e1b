"""``bridge verify``: files, folders and spools, good and hostile; exit codes and JSON."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from keys.keyfile import read_public_key
from keys.truststore import TrustStore
from spool.statement import Lost
from tests.golden import generate
from tests.support.commands import ROOT, bridge, make_node
from tests.support.spools import KEY, leave_open, new_lane, records, seal_one, sealer

GOLDEN = Path(generate.__file__).parent
SIGNER = GOLDEN / "keys" / "signer.pub.pem"
BAD: list[dict[str, str]] = json.loads((GOLDEN / "bad.json").read_bytes())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub.pem"
    path.write_bytes(KEY.public.pem())
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """One lane, n/transactions, with the segments 1 to 3, and a file that is still open."""
    lane = new_lane(tmp_path / "spool")
    for n in range(3):
        seal_one(lane, records(2, f"s{n}"))
    leave_open(lane, records(1))
    return lane.spool


def segment(spool: Path, seq: int) -> Path:
    return spool / "n" / "transactions" / "sealed" / "00000000" / f"{seq:012d}.ndjson.zst"


def test_a_good_spool_is_good(spool: Path, key: Path) -> None:
    told = bridge("verify", spool, "--key", key)
    assert (told.code, told.err) == (0, "")
    words = [line.split()[0] for line in told.out.decode().splitlines()]
    assert words == ["ok", "ok", "ok", "head", "open", "3"]
    answer = bridge("verify", spool, "--key", key, "--json", "--records").answer
    assert (answer["schema"], answer["ok"]) == ("bridge.verify/1", True)
    assert [item["kind"] for item in answer["items"]] == [*["segment"] * 3, "head", "open"]
    assert answer["items"][0] == {
        "path": str(segment(spool, 1)),
        "kind": "segment",
        "ok": True,
        "problem": None,
        "note": None,
    }


def test_the_configuration_s_keys_count_where_none_is_given(tmp_path: Path) -> None:
    config = make_node(tmp_path / "node")
    given = b'{"id":"a"}\n'
    assert bridge("--config", config, "append", "transactions", stdin=given).code == 0
    spool = config.parent / "spool"
    assert bridge("--config", config, "verify", spool).code == 0
    other = make_node(tmp_path / "other", "other")
    told = bridge("--config", other, "verify", spool)
    assert (told.code, b"[key.untrusted]" in told.out) == (4, True)
    public = read_public_key(config.parent / "keys" / "node.pub.pem")
    store = other.parent / "keys" / "trust.json"
    TrustStore().with_key("relay", "prod-1", public, public.id).save(store)
    assert bridge("--config", other, "verify", spool).code == 4
    TrustStore().with_key("node", "prod-2", public, public.id).save(store)
    assert bridge("--config", other, "verify", spool).code == 4
    TrustStore().with_key("node", "prod-1", public, public.id).save(store)
    assert bridge("--config", other, "verify", spool).code == 0


def test_wrong_usage_and_no_configuration(tmp_path: Path, spool: Path, key: Path) -> None:
    assert bridge("verify", "--key", key).code == 2
    assert bridge("verify", spool, "--key", tmp_path / "none").code == 2
    told = bridge("verify", spool, cwd=tmp_path)
    assert (told.code, "[config.missing]" in told.err) == (78, True)
    (tmp_path / "no-key").write_text("x")
    told = bridge("verify", spool, "--json", "--key", tmp_path / "no-key")
    assert (told.code, told.answer["error"]["id"]) == (78, "key.blocks")


@pytest.mark.parametrize("change", ["flip", "cut", "remove", "exchange", "tail", "head"])
def test_every_change_of_a_spool_is_found(spool: Path, key: Path, change: str) -> None:
    one, two = segment(spool, 2), segment(spool, 3)
    data = bytearray(one.read_bytes())
    if change == "flip":
        data[20] ^= 1
        one.write_bytes(data)
    elif change == "cut":
        one.write_bytes(data[:-1])
    elif change == "remove":
        one.unlink()
    elif change == "exchange":
        one.write_bytes(two.read_bytes())
        two.write_bytes(data)
    elif change == "tail":
        two.unlink()
    else:
        (spool / "n" / "transactions" / "head").write_bytes(b"{}")
    told = bridge("verify", spool, "--key", key)
    assert (told.code, told.out.startswith(b"ok ")) == (4, True)
    assert b"\nBAD " in told.out
    answer = bridge("verify", spool, "--key", key, "--json")
    assert (answer.code, answer.answer["ok"]) == (4, False)
    bad = [item for item in answer.answer["items"] if not item["ok"]]
    assert all(set(item["problem"]) == {"id", "message", "hint"} for item in bad)


def test_pruned_predecessors_and_declared_losses_are_no_errors(spool: Path, key: Path) -> None:
    segment(spool, 1).unlink()
    segment(spool, 3).unlink()
    sealer(new_lane(spool)).declare_lost(Lost("3", None, None, "missing"))
    told = bridge("verify", spool, "--key", key)
    assert told.code == 0
    assert b"declared lost" in told.out
    assert b"the oldest one here" in told.out


def test_every_golden_defect_fails_by_its_name(tmp_path: Path) -> None:
    paths = []
    for row in BAD:
        source = GOLDEN / row["file"]
        if source.is_dir():
            paths.append(source)
            continue
        # A folder each: they are no chain.
        paths.append(tmp_path / source.stem / source.name)
        paths[-1].parent.mkdir()
        shutil.copy(source, paths[-1])
    told = bridge("verify", "--json", "--key", SIGNER, *paths)
    assert told.code == 4
    bad = [item for item in told.answer["items"] if item["problem"]]
    for row, path in zip(BAD, paths, strict=True):
        found = [item["problem"]["id"] for item in bad if item["path"].startswith(str(path))]
        assert row["error"] in found, row["file"]


@pytest.mark.parametrize(
    "row", [row for row in BAD if "/a" in row["file"]], ids=lambda r: r["file"]
)
def test_one_golden_defect_alone_ends_with_four(row: dict[str, str]) -> None:
    told = bridge("verify", "--key", SIGNER, GOLDEN / row["file"])
    assert told.code == 4
    assert f"[{row['error']}]".encode() in told.out


def test_the_golden_good_files_pass_with_their_lines_parsed() -> None:
    told = bridge("verify", GOLDEN / "good", "--key", SIGNER, "--records")
    assert told.code == 0
    assert bridge("verify", *sorted((GOLDEN / "good").iterdir()), "--key", SIGNER).code == 0


def test_the_audit_script_agrees(spool: Path, key: Path) -> None:
    audit = [str(ROOT / "scripts" / "audit.sh"), str(key), str(spool)]
    assert subprocess.run(audit, check=False, capture_output=True).returncode == 0
    segment(spool, 2).write_bytes(segment(spool, 1).read_bytes())
    assert subprocess.run(audit, check=False, capture_output=True).returncode == 4
    assert bridge("verify", spool, "--key", key).code == 4


def test_lines_that_are_no_json_fail_only_with_records(tmp_path: Path, key: Path) -> None:
    lane = new_lane(tmp_path / "nonsense")
    seal_one(lane, [b'{"id":"a"}', b"nope"])
    assert bridge("verify", lane.spool, "--key", key).code == 0
    told = bridge("verify", lane.spool, "--key", key, "--records")
    assert (told.code, b"Line 2: " in told.out) == (4, True)


HOSTILE = {
    "missing": "file.missing",
    "empty": "segment.blank",
    "folder": "verify.nothing",
    "fifo": "file.kind",
    "link": "file.kind",
    "dangling": "file.kind",
}


@pytest.fixture
def hostile(tmp_path: Path, spool: Path) -> Path:
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to(segment(spool, 1))
    (folder / "dangling").symlink_to("nowhere")
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_path_is_a_problem_and_the_others_go_on(
    hostile: Path, spool: Path, key: Path, name: str
) -> None:
    told = bridge("verify", hostile / name, segment(spool, 1), "--key", key, "--json")
    assert told.code == 4
    first, second = told.answer["items"]
    assert first["problem"]["id"] == HOSTILE[name]
    assert second["ok"]


def test_a_file_that_may_not_be_read_is_a_problem(spool: Path, key: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    segment(spool, 2).chmod(0)
    told = bridge("verify", spool, "--key", key)
    assert (told.code, b"[file.unreadable]" in told.out) == (4, True)


def test_a_link_in_a_spool_is_not_read(spool: Path, key: Path) -> None:
    path = segment(spool, 3)
    path.rename(spool.parent / "aside")
    path.symlink_to(spool.parent / "aside")
    told = bridge("verify", spool, "--key", key)
    assert (told.code, b"[file.kind]" in told.out) == (4, True)


def test_names_cannot_act_on_a_terminal(spool: Path, tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "x\x1b[2J\x9b\u202e\r\nok fake"
    folder.mkdir()
    shutil.copy(segment(spool, 1), folder / "a\x1b]0;t\x07.ndjson.zst")
    (folder / "b\x1b[1m.ndjson.zst").touch()
    (folder / os.fsdecode(b"c\xff.ndjson.zst")).touch()
    for more in ([], ["--json"]):
        told = bridge("verify", folder, "--key", key, *more)
        assert told.code == 4
        text = told.out.decode()
        assert not set("\x1b\x07\x9b\u202e\r") & set(text)
        assert not any(line.startswith("ok fake") for line in text.splitlines())


def test_a_reader_that_goes_away_is_no_error_message(spool: Path, key: Path) -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{ROOT}/.venv/bin/python -m bridge.cli.main verify {spool} --key {key} | true",
        ],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stderr == b""
