"""What there is to say of one record that went another way than its segment, in JSON and for people."""

from collections.abc import Mapping
from typing import Any

from spool.clock import rfc3339
from spool.ledger import RecordException
from spool.ledger_audit import DISCARDED


def refused_answer(each: RecordException) -> Mapping[str, Any]:
    """It in JSON; ``text`` is the beacon's, ``note`` the reason of whoever gave the record up."""
    given_up = each.verdict == DISCARDED
    return {
        "line": each.line,
        "at": rfc3339(each.at),
        "status": each.status,
        "text": "" if given_up else each.text,
        "given_up": given_up,
        "note": each.text if given_up else None,
    }


def refused_words(each: RecordException) -> str:
    """What was answered, and what became of it, for people."""
    said = ", and given up: " if each.verdict == DISCARDED else " "
    return f"{each.status}{said}{each.text}"
