"""The command line as forks of one process that has imported it: a start takes a tenth of the time.

Most of what a command's process does is to import what it needs, and to take it apart at the end, and a
test run starts thousands. Each is a process of its own here too, with its own arguments, folder,
environment and three streams: only what was imported, and nothing that ran, is shared. That a command
starts by itself, and imports what it needs, the tests that use ``COMMAND`` show.

Run as a program with a socket's path, it serves until its stdin ends: ``tests/support/forks.py`` asks.
"""

import atexit
import gc
import importlib
import marshal
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
from contextlib import suppress

import bridge
import bridge.cli.main

SIZE_BYTES = 4
"""Of the length that stands before what is told."""
STREAMS = 3
READY = b"ready\n"


def _serve(path: str) -> None:
    """Fork a child for each connection; return only in one that is to run a command."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    os.write(1, READY)
    ends = 0  # our stdin
    while True:
        ready, _, _ = select.select([listener.fileno(), ends], [], [], 1)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if ends in ready:
            os._exit(0)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                if _began(connection):
                    return
                os._exit(0)
            connection.close()


def _began(connection: socket.socket) -> bool:
    """Whether this is the process that runs the command; else wait for it, and say how it ended."""
    size, streams, _, _ = socket.recv_fds(connection, SIZE_BYTES, STREAMS)
    told = b""
    while len(told) < int.from_bytes(size, "big"):
        piece = connection.recv(1 << 20)
        if not piece:  # who asked is gone
            return False
        told += piece
    arguments, folder, environment = marshal.loads(told)  # noqa: S302 - our own words
    pid = os.fork()
    if not pid:
        connection.close()
        for to, fd in enumerate(streams):
            os.dup2(fd, to)
            os.close(fd)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[1:] = arguments
        return True
    for fd in streams:
        os.close(fd)
    ended = os.pidfd_open(pid)
    with suppress(OSError):
        socket.send_fds(connection, [b"%d\n" % pid], [ended])
    ready, _, _ = select.select([connection.fileno(), ended], [], [])
    if ended not in ready:  # who asked is gone
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.send(b"%d" % code)
    return False


if __name__ == "__main__":
    for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
        importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    _serve(sys.argv[1])
    try:
        bridge.cli.main.main()
    except SystemExit as end:
        # What Python does then, but for taking apart all that was imported.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else end.code is not None)
