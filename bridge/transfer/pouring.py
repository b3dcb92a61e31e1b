"""Bytes on their way to a medium: all of them."""

import os


def pour(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``. Raises :class:`OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
