"""Untrusted text made safe to show.

Terminals obey escape sequences, C1 controls and bidirectional marks wherever the text comes from; so
whatever we did not write ourselves passes :func:`safe` before it is printed, also into a pipe.
"""

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, format marks (bidi, zero width, tags), surrogates, private, unassigned,
line and paragraph separators."""


def safe(text: str) -> str:
    """``text`` on one line, with every control and invisible mark written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        mark if unicodedata.category(mark) not in _UNSAFE else _escaped(mark) for mark in text
    )


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape", "backslashreplace").decode()


def safe_json(text: str) -> str:
    """JSON text whose strings cannot act on a terminal; it means the same."""
    return "".join(
        mark if mark == "\n" or unicodedata.category(mark) not in _UNSAFE else _json_escaped(mark)
        for mark in text
    )


def _json_escaped(mark: str) -> str:
    units = mark.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
