"""A producer at the intake of a daemon under torture: a record a request, each id once."""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable

from bridge.demo.clients import LICENSE

FIRST = 1000
"""The number of the first id: those below are in the spool before."""
EVERY_S = 0.1
PATIENCE_S = 30.0
"""For the daemon to take what is wanted; then it is told to stop all the same."""
_ANSWER_S = 5.0


class Traffic:
    """Sends until enough was acknowledged, then asks the daemon to stop."""

    WANTED = 20
    """Records: two seconds, in which files are sealed and sent too."""

    def __init__(self, port: int, id_of: Callable[[int], str]) -> None:
        self._port = port
        self._id_of = id_of
        self._next = 0.0
        self._end: float | None = None
        self._asked = False
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()

    def step(self, pid: int) -> None:
        """One request, if it is time for one."""
        now = time.monotonic()
        self._end = now + PATIENCE_S if self._end is None else self._end
        if self._asked or now < self._next:
            return
        if len(self.acknowledged) == self.WANTED or now > self._end:
            self._asked = True
            os.kill(pid, signal.SIGTERM)
            return
        self._next = now + EVERY_S
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
        try:
            connection.connect()
            self._post(connection, self._id_of(FIRST + len(self.sent)))
        except (OSError, http.client.HTTPException):
            return  # not yet, or no more; what the record became nobody knows
        finally:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, record: str) -> None:
        body = json.dumps({"license": LICENSE, "trace_transactions": [{"id": record}]})
        self.sent.add(record)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/beacon/ingest-traces", body, headers)
        if connection.getresponse().status == http.client.OK:
            self.acknowledged.add(record)
