"""A progress bar for bytes that are written or read, on a terminal alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from bridge.cli.session import Session


@contextmanager
def bar_of(session: Session, label: str, size: int) -> Iterator[Callable[[int], None]]:
    """What to call with bytes that were moved, of ``size``; with 0 while another process is waited for.

    That somebody waits is said once, also where there is no bar.
    """
    if session.verbosity < 0 or not sys.stderr.isatty():
        yield _waiting_told(session, lambda _: None)
        return
    with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
        yield _waiting_told(session, bar.update)


def _waiting_told(session: Session, moved: Callable[[int], None]) -> Callable[[int], None]:
    told = False

    def count(moving: int) -> None:
        nonlocal told
        if not moving and not told:
            told = True
            session.note("Another import into this spool is under way; this one waits for its end.")
        moved(moving)

    return count
