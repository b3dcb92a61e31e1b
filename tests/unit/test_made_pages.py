"""The pages that are made from the code are what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["configuration", "errors"])
def test_a_page_that_is_made_from_the_code_is_up_to_date(name: str) -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / f"{name}.md").read_text()
    assert made.stdout == page, f".venv/bin/python scripts/{name} > docs/{name}.md"
