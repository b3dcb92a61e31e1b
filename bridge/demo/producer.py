"""A producer in a process of its own: appends usage transactions, notes what was acknowledged.

``python -m bridge.demo.producer SPOOL NODE NOTES NAME COUNT PAUSE_MS``
"""

import sys
import time
import uuid
from pathlib import Path

import orjson

from bridge.demo.books import Notes
from spool.writer import Writer

GROUP = 20
"""Records in one append."""


def transaction(name: str, number: int) -> bytes:
    """A usage transaction of the vendor's shape."""
    key = uuid.uuid5(uuid.NAMESPACE_URL, f"demo/{name}/{number}")
    return orjson.dumps(
        {
            "id": str(key),
            "tenant_id": "3a1c2b6f-4430-4b92-8a5b-79b8b567bbc1",
            "session_id": str(uuid.uuid5(key, "session")),
            "trace_count": number % 50 + 1,
            "start_insertion_time": "2026-11-23T09:00:00Z",
            "end_insertion_time": "2026-11-23T10:00:00Z",
            "start_interval_time": "2026-11-23T08:00:00Z",
            "end_interval_time": "2026-11-23T09:00:00Z",
            "status": "completed",
            "num_failed_send_attempts": 0,
            "transaction_type": "type1",
            "organization_id": "c5b5f53a-4716-4326-8967-d4f7f7799735",
        }
    )


def main(spool: str, node: str, notes: str, name: str, count: str, pause_ms: str) -> None:
    """Append ``count`` records in groups, a pause after each."""
    noted = Notes(Path(notes), name)
    with Writer(spool, "transactions", node=node) as writer:
        for first in range(0, int(count), GROUP):
            records = [transaction(name, first + number) for number in range(GROUP)]
            writer.append(records)
            noted.acknowledged("transactions", records)
            time.sleep(int(pause_ms) / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
