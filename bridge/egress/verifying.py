"""License verification: a request with an answer, passed to the beacon and never spooled.

What comes back is the beacon's own word, byte for byte, or nothing: a page, a proxy's answer or a
token in another shape is none.
"""

import orjson

from bridge.egress.answers import Answer
from bridge.egress.client import BeaconClient

PATH = "/v1/beacon/verify"
DEADLINE_S = 3.0
"""Seconds for the beacon to answer: LangSmith, which waits for it, gives up soon after."""
_REFUSALS = frozenset({400, 401, 403, 422})
"""Statuses by which the beacon itself refuses a license."""


def verify(client: BeaconClient, license_key: str) -> Answer | None:
    """The beacon's answer to this key, a token or a refusal; None where the beacon gave none.

    Blocks for :data:`DEADLINE_S` at most, but for the system's name look-up.
    """
    reply = client.post(
        PATH,
        {"Content-Type": "application/json"},
        orjson.dumps({"license": license_key}),
        deadline_s=DEADLINE_S,
    )
    if not isinstance(reply, Answer):
        return None
    document = reply.document
    if document is None:
        return None
    token = document.get("token")
    if reply.status == 200:  # noqa: PLR2004 - OK
        return reply if isinstance(token, str) and token else None
    return reply if reply.status in _REFUSALS else None
