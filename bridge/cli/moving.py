"""A progress bar for bytes that are written or read, on a terminal alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from bridge.cli.session import Session


@contextmanager
def bar_of(session: Session, label: str, size: int) -> Iterator[Callable[[int], None]]:
    """What to call with bytes that were moved, of ``size``."""
    if session.verbosity < 0 or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
        yield bar.update
