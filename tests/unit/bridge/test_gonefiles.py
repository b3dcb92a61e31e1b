"""The daemon tells of files that were moved or removed while its intake wrote them."""

from pathlib import Path

import pytest

from bridge.daemon.gonefiles import GoneFiles
from bridge.egress.event import Event
from bridge.operate.problems import of_gone_file
from spool.errors import SpoolError
from spool.openfile import open_files
from spool.troublefile import read_trouble
from spool.writer import Writer
from tests.support.spools import FAST, wait_until


def test_each_file_that_is_gone_is_told_once_and_stands_in_the_status(tmp_path: Path) -> None:
    told: list[Event] = []
    writers = {name: Writer(tmp_path, name, node="n", disk=FAST) for name in ("logs", "metrics")}
    files = GoneFiles(writers, tmp_path, disk=FAST, tell=told.append)
    metrics = writers["metrics"]
    for number in range(2):
        metrics.submit_lines([b'{"resourceMetrics":[{}]}'] * 3).wait()
        files.look()
        assert len(told) == number
        problem = metrics.problem
        open_files(metrics.lane)[-1].unlink()
        metrics.submit_lines([b'{"resourceMetrics":[{}]}']).wait()
        wait_until(lambda: metrics.problem is not problem)  # noqa: B023 - it is called here alone
        files.look()
        files.look()
    assert [event.name for event in told] == ["spool.file_gone"] * 2
    assert [event.fields["stream"] for event in told] == ["metrics"] * 2
    assert "acknowledged were 3," in told[0].message
    (found,) = of_gone_file(read_trouble(tmp_path, "writers"))
    assert (found.id, found.message in told[1].message) == ("writer.file_gone", True)
    GoneFiles({}, tmp_path, disk=FAST, tell=told.append)
    assert list(of_gone_file(read_trouble(tmp_path, "writers"))) == []
    writers["logs"].close()
    with pytest.raises(SpoolError):
        metrics.close()
