"""docs/configuration.md is what the table says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_made_from_the_table() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "configuration")],
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert made.stdout == page, "run scripts/configuration > docs/configuration.md"
