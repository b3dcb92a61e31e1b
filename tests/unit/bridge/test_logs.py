"""A line of the log is one event, with no secret and nothing that acts on a terminal."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from bridge.operate.logs import configure, log
configure(sys.argv[1], int(sys.argv[2]), ["lcl_SECRET_KEY"])
log("test.event", "It holds lcl_SECRET_KEY and \\x1b[31m.", {"n": 1, "text": "a\\x9bb"})
import logging
logging.getLogger("other").info("chatter")
logging.getLogger("other").warning("a warning")
"""


def lines(form: str, verbosity: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, str(verbosity)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_into_a_pipe_each_line_is_one_json_object() -> None:
    first, second = lines("auto", 0)
    event = json.loads(first)
    assert (event["event"], event["level"], event["n"]) == ("test.event", "info", 1)
    assert json.loads(second)["message"] == "a warning"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_never_reaches_a_line(form: str) -> None:
    written = "\n".join(lines(form, 1))
    assert "lcl_SECRET_KEY" not in written
    assert "[secret]" in written
    assert "\x1b" not in written
    assert "\x9b" not in written


def test_quiet_leaves_errors_alone() -> None:
    assert [line for line in lines("text", -1) if "test.event" in line] == []
