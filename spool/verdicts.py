"""What verifying finds: one item for each thing looked at, good or bad, by name.

"Wrong" and "could not tell" are different: a problem is an error, a note is not.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from keys.errors import BridgeError, shown
from spool.statement import Statement


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not good; the three parts of an error."""

    id: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was looked at.

    ``kind``: ``segment``; ``open`` (still being written, not verified); ``head``; ``gap`` (numbers
    that are not here, ``path`` is the lane or folder); ``link`` (a symbolic link, not followed);
    ``folder``. ``note`` says what is no error but ought to be known. ``said`` is what a segment's
    seal says, where it could be read; believe it only if there is no problem.
    """

    path: Path
    kind: str
    problem: Problem | None = None
    note: str | None = None
    said: Statement | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None


def problem_of(error: BridgeError | OSError) -> Problem:
    """The problem that an error is."""
    if isinstance(error, BridgeError):
        return Problem(error.id, error.message, error.hint)
    name = shown(os.fspath(error.filename)) if error.filename else "It"
    if isinstance(error, FileNotFoundError):
        return Problem("file.missing", f"There is no {name}.", "Look at the path.")
    return Problem(
        "file.unreadable",
        f"{name} cannot be read: {os.strerror(error.errno or 0)}.",
        "Run this as a user who may read it, or look at the disk's health.",
    )
