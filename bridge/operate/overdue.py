"""Other nodes that fell silent, as a relay sees them: a heartbeat of billing that is overdue.

A node seals a billing heartbeat a day where it has nothing else to seal, so a lane that stands still is
no quiet lane: its node is off, somebody keeps its bundles, or leaves this lane out of them. Heartbeats
bear no time of their own; what counts is when something new of the lane came here.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby

from bridge.operate.problem import Problem
from spool.clock import rfc3339
from spool.lane import Lane
from spool.sealing import HEARTBEAT_MS
from spool.streams import STREAMS

BEHIND_MS = 2 * HEARTBEAT_MS
"""How long a billing lane may stand still while other lanes of its node arrive: one heartbeat may be
under way, two are missing."""


def overdue(lanes: Sequence[Lane], at: int, silent_after: int) -> Iterator[Problem]:
    """Billing lanes of other nodes whose next segment is overdue at ``at`` (ms since 1970 UTC).

    Behind another lane of the same node by :data:`BEHIND_MS`, or, where nothing at all of the node
    came, after ``silent_after`` ms: a courier needs longer than a heartbeat. Raises :class:`OSError`.
    """
    came = [(lane, since) for lane in lanes if (since := _came(lane)) is not None]
    for node, group in groupby(came, key=lambda each: each[0].node):
        of_node = list(group)
        newest = max(since for _, since in of_node)
        for lane, since in of_node:
            row = STREAMS.get(lane.stream)
            if row is None or row.kind != "billing":
                continue
            what = f"Nothing new of {lane.node}/{lane.stream} came since {rfc3339(since)}"
            if newest - since > BEHIND_MS:
                yield Problem(
                    "heartbeat.overdue",
                    f"{what}, while other lanes of {node} did; a node seals a heartbeat a day.",
                    f"Ask the operator of {node} for a bundle of all lanes; does its daemon run?",
                )
            elif at - since > silent_after:
                yield Problem(
                    "heartbeat.overdue",
                    f"{what}; a node seals a heartbeat a day.",
                    f"Ask the operator of {node} for a bundle; does its daemon run?",
                )


def _came(lane: Lane) -> int | None:
    """When something new of another node's lane came last, ms since 1970 UTC; None for an own lane."""
    try:
        return os.stat(lane.imported).st_mtime_ns // 1_000_000  # noqa: PTH116 - the time alone
    except FileNotFoundError:
        return None
