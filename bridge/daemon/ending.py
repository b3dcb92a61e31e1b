"""Waits for the threads of the daemon's parts when it stops, and for none without an end.

A disk or a medium that hangs holds its part's thread, for ever perhaps; what of the stop comes after,
as the requests in flight, must not wait for that. What is left ends with the process, as in a crash.
"""

import threading

from bridge.daemon.telling import tell
from bridge.egress.event import Event

STOP_S = 2.0
"""Seconds that a piece of a part's work gets."""


def end(thread: threading.Thread) -> None:
    """Wait for a part's ``thread``, which was asked to end; one that does not in time is told of."""
    thread.join(STOP_S)
    if thread.is_alive():
        message = f"The daemon's {thread.name} did not stop in time, and ends with the process."
        tell(Event("daemon.left", message, {"part": thread.name}))
