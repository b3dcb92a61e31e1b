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


def written(statements: str, form: str, secrets: list[str]) -> list[str]:
    """What these statements write, line by line."""
    program = (
        "from bridge.operate.logs import configure, log\n"
        f"configure({form!r}, 0, {secrets!r})\n" + statements
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", ['lcl_"quo\\te"', "lcl_KEY's", "lcl_KEY_AND_MORE"])
def test_a_secret_is_masked_whatever_marks_it_holds_and_wherever_it_stands(
    form: str, secret: str
) -> None:
    statements = f"""
s = {secret!r}
log("e", "in " + s, {{"field": s, s: 1, "inner": {{"a": [s]}}}})
try:
    raise ValueError(s)
except ValueError:
    import logging
    logging.getLogger("bridge").exception("failed with %s", s)
"""
    (first, *more) = written(statements, form, ["lcl_KEY", secret])
    for line in (first, *more):
        assert "lcl_" not in line
        assert "AND_MORE" not in line
    assert "[secret]" in first
    assert "ValueError: [secret]" in "".join(more)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_is_logged_makes_the_logger_itself_fail(form: str) -> None:
    statements = """
log("e", "x", {"file": "x\\udcff", "big": 2**70, "nan": float("nan"), "set": {1}, 3: None})
log("e", "\\ud800", {"bytes": b"\\x00", "nested": {"x": object}})
"""
    found = written(statements, form, [])
    assert len(found) == 2
    assert "Logging error" not in "".join(found)
    if form == "json":
        first = json.loads(found[0])
        assert (first["big"], first["nan"], first["3"]) == (str(2**70), None, None)


def test_a_field_cannot_take_the_place_of_what_every_line_says() -> None:
    (line,) = written('log("real", "true", {"event": "other", "at": 1})', "json", [])
    assert json.loads(line)["event"] == "real"


def test_a_message_cannot_begin_a_line_of_its_own() -> None:
    (line,) = written('log("e", "one\\n2026 error forged: two", {"f": "a\\nb"})', "text", [])
    assert "one\\n2026" in line


@pytest.mark.parametrize("mark", ["\x9b", "\x7f", "\u202e", "\U000e0041"])
def test_a_line_stays_json_whatever_marks_it_holds(mark: str) -> None:
    (line,) = written(f"log('e', {mark!r}, {{}})", "json", [])
    assert mark not in line
    assert json.loads(line)["message"] == mark


def test_quiet_holds_for_libraries_too() -> None:
    assert [line for line in lines("text", -1) if "a warning" in line] == []


FAILING_ONCE = """
import sys
class FailsOnce:
    written = ""
    failures = 1
    def write(self, text):
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        self.written += text
    def flush(self):
        pass
    def isatty(self):
        return False
real, sys.stderr = sys.stderr, FailsOnce()
from bridge.operate.logs import configure, log
configure("text", 1, [])
log("first", "It cannot be written.", {})
log("second", "It can.", {})
real.write(sys.stderr.written)
"""


def test_where_a_line_cannot_be_written_the_work_goes_on_without_a_trace() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING_ONCE], capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    assert line.endswith("second: It can.")
