"""The ledger and the lane that most tests of the ledger begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.lane import Lane
from spool.ledger import Ledger
from tests.support.ledgers import filled, lane


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One that knows ten pending segments of the lane ``here``."""
    with filled(tmp_path) as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path) -> Lane:
    return lane(tmp_path)
