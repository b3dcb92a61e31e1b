"""What is new in the lanes of a spool, and the quick look that says whether there may be something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.egress.news import News
from spool.clock import SYSTEM_CLOCK
from spool.durable import make_folders
from spool.lane import Lane
from spool.ledger import By, Ledger, State
from tests.support.disks import FastDisk
from tests.support.sending import fill


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


def _look(news: News) -> list[Lane]:
    return [lane for lane in news.lanes() if news.may_be_in(lane) and news.look(lane)]


def _settled(news: News) -> None:
    """Look until a look finds nothing: it has told the ledger itself."""
    while _look(news):
        pass


def test_a_quick_look_sees_a_head_that_moved(tmp_path: Path, ledger: Ledger) -> None:
    lane, news = fill(tmp_path, "logs", 1, 1), News(tmp_path, ledger)
    assert news.changed()
    assert _look(news) == [lane]
    _settled(news)
    assert not news.changed()
    fill(tmp_path, "logs", 1, 1)
    assert news.changed()
    assert _look(news) == [lane]


def test_a_quick_look_sees_what_another_process_did_to_the_ledger(
    tmp_path: Path, ledger: Ledger
) -> None:
    lane, news = fill(tmp_path, "logs", 2, 1), News(tmp_path, ledger)
    _settled(news)
    assert not news.changed()
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as another:
        (span,) = another.spans(lane)
        another.move(
            lane, 1, 2, source=State.PENDING, target=State.EXPORTED, by=By.EXPORT,
            before_first=span.before, after_last=span.after,
        )  # fmt: skip
    assert news.changed()


def test_a_lane_without_a_head_is_looked_at_once_until_something_comes(
    tmp_path: Path, ledger: Ledger
) -> None:
    make_folders(FastDisk(), tmp_path, Lane(tmp_path, "n", "logs").folder)
    news = News(tmp_path, ledger)
    (lane,) = news.lanes()
    assert news.may_be_in(lane)
    assert not news.look(lane)
    assert not news.may_be_in(lane)
    lane.imported.touch()
    assert news.may_be_in(lane)
    assert news.changed()
