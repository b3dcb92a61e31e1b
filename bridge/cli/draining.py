"""The progress bar of a drain in the foreground, on a terminal alone."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bridge.cli.session import Session
from spool.ledger import Ledger, State

EVERY_S = 0.2
"""Seconds between two looks at the ledger."""


@contextmanager
def progress_of(session: Session, ledger: Ledger) -> Iterator[None]:
    """Show how much of what is pending is gone, until the end of the block."""
    if session.verbosity < 0 or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=(ledger, done), daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def _watch(ledger: Ledger, done: threading.Event) -> None:
    most = left = _pending(ledger)
    with click.progressbar(length=most, label="sending", file=sys.stderr, show_pos=True) as bar:
        while not done.wait(EVERY_S):
            now = _pending(ledger)
            if now > left:  # more was sealed or found
                most += now - left
                bar.length = most
            else:
                bar.update(left - now)
            left = now
        bar.update(max(left - _pending(ledger), 0))


def _pending(ledger: Ledger) -> int:
    return sum(counts.records[State.PENDING] for counts in ledger.counts())
