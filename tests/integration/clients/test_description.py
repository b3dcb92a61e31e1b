"""Schemathesis, which knows the intake from its published description alone, finds no other answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bridges import Node
from tests.support.commands import ROOT

pytestmark = pytest.mark.enable_socket
DESCRIPTION = ROOT / "docs" / "openapi.yaml"
EXAMPLES = 25
SECONDS_MAX = 100
"""It needs less than twenty on two idle cores."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# 503 is no accident: it asks a client to come again, and the description declares it.
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""


@pytest.mark.slow
def test_every_answer_to_made_up_requests_is_as_the_description_says(
    tmp_path: Path, node: Node
) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    program = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run(
        [
            *(program, "--config-file", settings, "run", DESCRIPTION),
            *("--url", f"http://127.0.0.1:{node.daemon.port}"),
            *("--checks", ",".join(CHECKS)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
            *("--request-timeout", "10", "--no-shrink"),
            *("--workers", "2", "--no-color"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.clients.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    answered = node.daemon.post("/v1/beacon/v1/logs", b'{"resourceLogs":[]}')
    assert answered == 200  # nothing of all that harmed it
