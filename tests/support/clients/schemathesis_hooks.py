"""What Schemathesis is told of the bridge beyond its description: a key, and what protobuf is.

Without the right key nearly every request would end at the same refusal. With ``MARKED_RUN`` in the
environment each JSON body carries a mark of its own, from the number ``MARKED_FROM`` on, besides what
was made up for it.
"""

import os
from itertools import count
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext

from tests.support.clients.captured import captured
from tests.support.commands import SECRET

WRONG_EVERY = 8
"""One request of so many keeps the key that was made up for it."""
_PROTOBUF = "application/x-protobuf"
_EXPORTS = [
    request.body
    for request in captured()
    if request.type == _PROTOBUF and "content-encoding" not in str(request.headers).lower()
]

schemathesis.openapi.media_type(
    _PROTOBUF, st.sampled_from(_EXPORTS) | st.binary(max_size=200) | st.just(b"")
)


_RUN = os.environ.get("MARKED_RUN")
_NUMBERS = count(int(os.environ.get("MARKED_FROM", "0")))


def _mark(body: dict[str, Any], path: str) -> None:
    """Put a mark where a record of this path is kept with it."""
    mark = f"keep-{_RUN}-fuzz-{next(_NUMBERS):06}"
    if path.endswith("/logs"):
        record = {"severityNumber": 17, "body": {"stringValue": mark}}
        body["resourceLogs"] = [{"scopeLogs": [{"logRecords": [record]}]}]
    elif path.endswith("/metrics"):
        body["resourceMetrics"] = [{"scopeMetrics": [{"metrics": [{"name": mark}]}]}]
    elif path.endswith("/traces") and not path.endswith("ingest-traces"):
        body["resourceSpans"] = [{"scopeSpans": [{"spans": [{"name": mark}]}]}]
    elif path.endswith("/ingest-traces"):
        body["trace_transactions"] = [{"id": mark}]
    elif isinstance(body.get("measures"), dict):
        body["measures"][mark] = 1


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Give most requests the node's own key, wherever they carry one."""
    body = case.body
    if _RUN and isinstance(body, dict):
        _mark(body, case.path)
    if isinstance(body, dict) and len(str(body)) % WRONG_EVERY:
        for name in ("license", "license_key"):
            if isinstance(body.get(name), str):
                body[name] = SECRET
    for name in list(case.headers or ()):
        if name.lower() == "x-langchain-license-key" and len(str(body)) % WRONG_EVERY:
            case.headers[name] = SECRET
