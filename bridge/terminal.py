"""Untrusted text made safe to show, counts with the right words, and sizes as people read them.

Terminals obey escape sequences, C1 controls and bidirectional marks wherever the text comes from; so
whatever we did not write ourselves passes :func:`safe` before it is printed, also into a pipe.
"""

import re
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, format marks (bidi, zero width, tags), surrogates, private, unassigned,
line and paragraph separators."""
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks of other categories that show nothing: whole messages hide in them."""

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def safe(text: str) -> str:
    """``text`` on one line, with every control and invisible mark written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(mark) if _is_unsafe(mark) else mark for mark in text)


def counted(number: int, one: str, many: str) -> str:
    """``number`` with the words that belong to it: ``1 record is``, ``2,000 records are``."""
    return f"{number:,} {one if number == 1 else many}"


def sized(number: int) -> str:
    """``number`` bytes as people read them, never more than there are: ``74.03 GiB``, ``5 GiB``."""
    for unit, size in _UNITS:
        if number >= size:
            whole, part = divmod(number * 100 // size, 100)
            digits = f"{whole:,}.{part:02}".rstrip("0").rstrip(".")
            return f"{digits} {unit}"
    return counted(number, "byte", "bytes")


def _is_unsafe(mark: str) -> bool:
    return unicodedata.category(mark) in _UNSAFE or _INVISIBLE.match(mark) is not None


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape", "backslashreplace").decode()


def safe_json(text: str) -> str:
    """JSON text whose strings cannot act on a terminal; it means the same."""
    return "".join(
        _json_escaped(mark) if mark != "\n" and _is_unsafe(mark) else mark for mark in text
    )


def _json_escaped(mark: str) -> str:
    units = mark.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
