"""No descriptor is left, for this process or on the whole machine: what to say of it.

It looks like a fault of the disk, of a key file or of the program, whatever is opened just then.
"""

import errno
import os
from contextlib import ExitStack

from spool.errors import SpoolError

NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


def out_of_files(error: OSError, what: str) -> SpoolError:
    """An error for people where ``what`` was to be done, and ``error`` is in :data:`NO_DESCRIPTOR`."""
    return SpoolError(
        "files.too_many",
        f"No more files may be open at a time: cannot {what} ({os.strerror(error.errno or 0)}).",
        "Raise the limit of this process (ulimit -n, LimitNOFILE= of a service) or, where the whole "
        "machine has none left, look who holds them; then try again.",
    )


def out_of_files_behind(error: BaseException) -> SpoolError | None:
    """The same, where ``error`` came of that, whatever it says; else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_DESCRIPTOR:
            return out_of_files(seen, "go on")
        seen = seen.__cause__ or seen.__context__
    return None


def check_descriptors(count: int) -> None:
    """Nothing, where ``count`` more files can be opened. Raises :class:`OSError`."""
    with ExitStack() as held:
        for _ in range(count):
            fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            held.callback(os.close, fd)
