"""Documents name what there is."""

import re
from pathlib import Path

import pytest

from spool.states import mermaid

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_something_here(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_file_that_the_threat_model_names_exists() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    named = re.findall(r"`((?:keys|spool|bridge|tests|scripts)/[^`]+)`", text)
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists(), name


def test_the_license_is_spelled_as_the_vendor_does() -> None:
    for page in PAGES:
        assert "licen" + "ce" not in page.read_text().lower(), page


def test_the_picture_of_states_is_made_from_the_table() -> None:
    assert mermaid() in (ROOT / "docs" / "states.md").read_text()
