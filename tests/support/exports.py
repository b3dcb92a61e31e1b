"""CSV as the vendor's two queries write it, with PostgreSQL's own spelling of times."""

import csv
import io
import json
from collections.abc import Sequence

TRACES = (
    "id", "tenant_id", "session_id", "trace_count", "interval", "interval_start",
    "insertion_time_range_start", "insertion_time_range_end", "status",
    "num_failed_send_attempts", "transaction_type", "organization_id", "source", "created_at",
    "backfill_id", "backfilled_at", "customer_id", "customer_name",
)  # fmt: skip
NODES = (
    "id", "from_timestamp", "to_timestamp", "received_at", "measures", "tags", "logs",
    "reported_status", "num_failed_metronome_send_attempts", "tenant_id",
    "self_hosted_customer_id", "backfill_id", "backfilled_at", "organization_id", "customer_id",
    "customer_name",
)  # fmt: skip


def written(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    # PostgreSQL quotes a lone carriage return; Python would not, where it does not end the line.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()


def trace(
    n: int,
    *,
    status: str = "pending",
    key: str = "",
    hour: int | None = None,
    source: str = "local",
    session: str = "session-1",
) -> list[str]:
    """Row ``n``: its window is hour ``n`` of November."""
    day, at = f"2026-11-{1 + n // 24 % 28:02d}", n % 24 if hour is None else hour
    begin, end = f"{day} {at:02d}:00:00+00", f"{day} {at:02d}:59:59.999999+00"
    return [
        key or f"00000000-0000-4000-8000-{n:012d}", "tenant-1", session, str(n),
        f'["{begin}","{end}")', begin, begin, end, status, "3", "longlived_traces",
        "organization-1", source, "2026-11-20 09:00:00.123456+00", "b-1",
        "2026-11-20 10:00:00+00", "customer-1", "ACME, Inc.",
    ]  # fmt: skip


def node(n: int, *, status: str = "pending") -> list[str]:
    return [
        f"node-{n}", f"2026-11-20 09:{n:02d}:00+00", f"2026-11-20 09:{n + 1:02d}:00+00",
        "2026-11-20 10:00:00+00", json.dumps({"langgraph.platform.nodes": n}),
        json.dumps({"langgraph.python.version": "0.4"}), "[]", status, "", "tenant-1", "",
        "b-1", "2026-11-20 10:00:00+00", "organization-1", "customer-1", "ACME, Inc.",
    ]  # fmt: skip


def traces(*rows: Sequence[str]) -> bytes:
    return written(TRACES, rows)


def nodes(*rows: Sequence[str]) -> bytes:
    return written(NODES, rows)
