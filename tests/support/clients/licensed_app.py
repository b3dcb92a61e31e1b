"""An operator's graph and app, for LangSmith's own API server; it runs in that server's process.

The server runs the app's start as part of its own, and does not come up if that fails. Here the start
asks for the license as the vendor documents it, with what the server itself has: its license key, its
HTTP client, its trust. It takes nothing but a token that the vendor's key signed and that has not
ended.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

import jwt
from langgraph.graph import START, StateGraph  # type: ignore[import-not-found]
from langgraph_api import config  # type: ignore[import-not-found]
from langgraph_api.http import ensure_http_client  # type: ignore[import-not-found]
from starlette.applications import Starlette

BEACON = "https://beacon.langchain.com/v1/beacon/verify"


class State(TypedDict):
    """What the graph passes on."""

    n: int


def _graph() -> object:
    builder = StateGraph(State)
    builder.add_node("only", lambda state: state)
    builder.add_edge(START, "only")
    return builder.compile()


def _keep(answer: bytes) -> None:
    """Judge the token in ``answer``, and leave the answer where a test finds it."""
    token = json.loads(answer)["token"]
    keys = jwt.PyJWKSet.from_json(Path(os.environ["TEST_VENDOR_KEYS"]).read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    jwt.decode(token, key, algorithms=["EdDSA"], options={"require": ["exp"], "verify_aud": False})
    Path(os.environ["TEST_ANSWER"]).write_bytes(answer)


@asynccontextmanager
async def _licensed(_app: Starlette) -> AsyncIterator[None]:
    client = (await ensure_http_client()).client
    answer = await client.post(BEACON, json={"license": config.LANGGRAPH_CLOUD_LICENSE_KEY})
    answer.raise_for_status()
    _keep(answer.content)
    yield


graph = _graph()
app = Starlette(lifespan=_licensed)
