"""What runs commands as forks leaves no process behind."""

import os
import select
import socket

import pytest

from tests.support.forks import forked_command
from tests.support.forkserver import SIZE_BYTES, STREAMS


@pytest.mark.enable_socket
def test_who_ends_while_it_asks_for_a_command_leaves_no_process_behind() -> None:
    *_, path = forked_command()
    ended, held = os.pipe()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        size = (100).to_bytes(SIZE_BYTES, "big")
        socket.send_fds(asking, [size], [held] * STREAMS)
    os.close(held)
    try:
        # The last copy of the other end goes with the process that was to run the command.
        assert select.select([ended], [], [], 20)[0] == [ended]
    finally:
        os.close(ended)
