"""Stdin, stdout and stderr, however the process was started.

Descriptors 0, 1 and 2 are always taken: where one was closed, the next file that is opened would get
its number, and whatever is written "to stdout" would land in that file. What stdout does not take is
told by an error of its own, wherever it was written: nobody shall take it for a fault of the spool's
disk.
"""

import io
import os
import sys

from keys.errors import BridgeError

_STDIN, _STDOUT, _STDERR = range(3)


class OutputError(BridgeError):
    """Stdout takes nothing: what there is to say of that goes to stderr, in JSON or not."""


class _Stdout(io.FileIO):
    def write(self, data: object) -> int:
        """Write to the descriptor.

        Raises :class:`OutputError` ``output.failed``, or :class:`BrokenPipeError` where nobody reads.
        """
        try:
            return super().write(data)  # type: ignore[arg-type]  # as the library's own writers call it
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                "output.failed",
                f"The result could not be written ({error.strerror}).",
                "Look at where stdout leads to; bridge status says what was done.",
            ) from error


def make_sure_of_standard_files() -> None:
    """To be called before anything is opened, by the program that has the process to itself."""
    _take(_STDIN, os.O_RDONLY)
    # What is written to a stdout that was closed is to fail, as it would have.
    _take(_STDOUT, os.O_RDONLY)
    _take(_STDERR, os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = os.fdopen(_STDIN, closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STDERR, "w", closefd=False)
    if sys.stdout is sys.__stdout__:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Stdout(_STDOUT, "w", closefd=False)),
            encoding=None if sys.stdout is None else sys.stdout.encoding,
            errors=None if sys.stdout is None else sys.stdout.errors,
        )


def _take(number: int, flags: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest number that is free is this one: those below it are taken.
        os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 - its only form
