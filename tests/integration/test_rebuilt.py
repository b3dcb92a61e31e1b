"""An operator learns that the ledger was lost: from the log once, from the status, from the audit."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridges import Node, node_for, told

pytestmark = pytest.mark.enable_socket


def _told(node: Node) -> int:
    return node.log.read_text().count('"event":"ledger.rebuilt"')


def _status(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.bridge("status", "--json").stdout)["ledger"]
    return found


def test_a_lost_ledger_is_told_of_once_in_the_log_and_stays_in_the_status(tmp_path: Path) -> None:
    with node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as node:
        assert node.bridge("append", "transactions", stdin=b'{"id":"a"}\n').returncode == 0
        assert _status(node) == {"rebuilt_at": None, "why": None, "kept": None, "times": 0}
        for path in node.spool.glob("ledger.db*"):
            path.unlink()
        for _ in range(2):
            node.daemon.start()
            node.daemon.stop()
        assert _told(node) == 1
        said = _status(node)
        assert (said["why"], said["kept"]) == ("missing", None)
        assert said["rebuilt_at"] is not None
        assert (
            f"was missing and was made anew at {said['rebuilt_at'][:16]}Z"
            in node.bridge("status").stdout
        )
        assert "there are no rows from before" in node.bridge("audit").stderr
        assert told(node, "audit")["no_rows_before"] == said["rebuilt_at"]
        assert "rows from before" not in node.bridge("audit", "--since", "0s").stderr
        (node.spool / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
        said = _status(node)
        assert (said["why"], said["times"]) == ("damaged", 2)
        assert "So it was 1 time before: " in node.bridge("status").stdout
        assert said["kept"] is not None
        assert (node.spool / said["kept"]).exists()
        assert said["kept"] in node.bridge("status").stdout
        # Another process made it anew: the daemon tells of it all the same.
        node.daemon.start()
        node.daemon.stop()
        assert _told(node) == 2
