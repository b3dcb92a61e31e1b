"""The file format and the disk: records become signed, compressed segments, and stay.

No network, no HTTP, no command line in this room. :class:`Writer` is its public API; the page
``docs/writer.md`` says how it is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spool.writer import Writer

__all__ = ["Writer"]


def __getattr__(name: str) -> object:
    # Found when it is asked for: commands that write nothing start without it.
    if name == "Writer":
        from spool.writer import Writer  # noqa: PLC0415 - only when it is asked for

        return Writer
    raise AttributeError(name)
