"""Who sends is told to others, whatever its configuration is called."""

import os
from pathlib import Path

import pytest

from spool.sender_lock import SenderLock, read_holder


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("/etc/bridge/bridge.yaml", "/etc/bridge/bridge.yaml"),
        (os.fsdecode(b"/o\xff\xfed/bridge.yaml"), r"/o\xff\xfed/bridge.yaml"),
        ("/" + "\u00e9" * 4000, "/" + "\u00e9" * 999),
        ("/" + "\x1b" * 4000, "/" + "\x1b" * 999),
    ],
)
def test_the_holder_is_told_by_any_name_that_a_configuration_can_have(
    tmp_path: Path, config: str, told: str
) -> None:
    lock = SenderLock(tmp_path, version="1", config=config, now_ms=0)
    try:
        holder = read_holder(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.config) == (os.getpid(), told)
    finally:
        lock.release()
    assert read_holder(tmp_path) is None
