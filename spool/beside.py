"""Lines are compressed by a thread of their own while their caller judges them.

Nearly all records are their own lines, so what will be stored is known before it is known whether it
may be. Judging holds the interpreter's lock and compressing does not: side by side they take as long as
the longer of the two. The thread needs that lock to begin, so its caller waits for that, but not long:
where other programs have the processors, it takes as long as compressing does. What nobody has begun
with when it was judged, its caller takes back and compresses by itself.
"""

import threading
from queue import SimpleQueue

from spool.frames import FrameEncoder

BEGIN_S = 0.0003
"""Seconds to wait until the thread begins: twice what it needs where a processor is free."""


class Compressing:
    """Lines that are to be compressed, by whoever begins with them first."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.raw_size = len(raw)
        self._taken = threading.Lock()
        # Locks serve as events: held until it is so.
        self._begun = threading.Lock()
        self._begun.acquire()
        self._done = threading.Lock()
        self._done.acquire()
        self._outcome: bytes | Exception | None = None

    def work(self, encoder: FrameEncoder) -> None:
        """Do it, unless they were taken back. Never raises."""
        if not self._taken.acquire(blocking=False):
            return
        self._begun.release()
        try:
            self._outcome = encoder.encode(self._raw)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._outcome = error
        self._raw = b""
        self._done.release()

    def wait_begun(self) -> None:
        """Wait until somebody has begun, :data:`BEGIN_S` at most."""
        self._begun.acquire(timeout=BEGIN_S)

    def take_back(self) -> bytes | None:
        """The lines, if nobody has begun with them; nobody will then. Else None."""
        if not self._taken.acquire(blocking=False):
            return None
        raw, self._raw = self._raw, b""
        return raw

    def encoded(self) -> bytes:
        """The frame that holds them, when it is there; raises what kept it from being made.

        Lines that were taken back never are.
        """
        with self._done:
            pass
        outcome = self._outcome
        if isinstance(outcome, bytes):
            return outcome
        assert outcome is not None  # noqa: S101 - it is done
        raise outcome


class Compressor:
    """One thread that compresses, begun with the first lines; any number of threads hand lines over."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Compressing | None] = SimpleQueue()
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def begin(self, raw: bytes) -> Compressing:
        """Let the thread compress ``raw``: whole lines, at most what a frame holds.

        Returns when it has begun, or will as soon as it can. Where there is no thread it never does,
        and who takes the lines back gets them.
        """
        work = Compressing(raw)
        with self._changing:
            if self._stopped:
                return work
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_run, args=(self._queue,), name="compressor", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError:  # no room for one more: the next lines try again
                    self._thread = None
                    return work
            self._queue.put(work)
        work.wait_begun()
        return work

    def stop(self) -> None:
        """End the thread, after what it was given; no other one begins."""
        with self._changing:
            thread = self._thread
            if thread is not None and not self._stopped:
                self._queue.put(None)
            self._stopped = True
        if thread is not None:
            thread.join()


def _run(queue: SimpleQueue[Compressing | None]) -> None:
    encoder = FrameEncoder()
    while (work := queue.get()) is not None:
        work.work(encoder)
        del work
