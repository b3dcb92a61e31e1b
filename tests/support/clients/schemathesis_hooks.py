"""What Schemathesis is told of the bridge beyond its description: a key, and what protobuf is.

Without the right key nearly every request would end at the same refusal.
"""

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


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Give most requests the node's own key, wherever they carry one."""
    body = case.body
    if isinstance(body, dict) and len(str(body)) % WRONG_EVERY:
        for name in ("license", "license_key"):
            if isinstance(body.get(name), str):
                body[name] = SECRET
    for name in list(case.headers or ()):
        if name.lower() == "x-langchain-license-key" and len(str(body)) % WRONG_EVERY:
            case.headers[name] = SECRET
