"""Whatever comes back, there is one verdict, and never a success without its shape."""

import json

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.egress.answers import Answer
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import EXCERPT_MAX, RETRY_AFTER_MAX_S, Kind, judge

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inserted_count", "partialSuccess", "rejectedSpans", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from(["application/json", "text/html", "", "application/json;x"]) | st.text()
RETRY_AFTERS = st.none() | st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(str)


def has_shape(stream: str, answer: Answer) -> bool:
    """What a success may look like at the least, said once more and more simply."""
    if not 200 <= answer.status < 300:
        return False
    if not answer.body:
        return stream == "langgraph" or (stream == "snapshots" and answer.status == 204)
    if stream == "snapshots" or not answer.content_type.lower().startswith("application/json"):
        return False
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(found, dict):
        return False
    return stream != "transactions" or type(found.get("inserted_count")) is int


@given(
    stream=st.sampled_from(sorted(ROUTES)),
    answer=st.builds(
        Answer,
        status=st.integers(100, 599) | st.sampled_from([200, 204, 400, 503]),
        content_type=TYPES,
        body=BODIES,
        retry_after=RETRY_AFTERS,
        cut=st.booleans(),
    ),
    sent=st.integers(1, 1000),
    now_ms=st.integers(0, 2**43),
)
@example("logs", Answer(200, "application/json", b"{" * 100_000), 1, 0)
def test_every_answer_has_one_verdict_and_no_success_without_its_shape(
    stream: str, answer: Answer, sent: int, now_ms: int
) -> None:
    verdict = judge(ROUTES[stream], sent, answer, now_ms=now_ms, secret="")
    assert verdict.kind in Kind
    if verdict.kind is Kind.DELIVERED:
        assert has_shape(stream, answer)
        assert verdict.accepted is None or 0 <= verdict.accepted <= sent
    else:
        assert verdict.accepted is None
    assert verdict.retry_after_s is None or 0 <= verdict.retry_after_s <= RETRY_AFTER_MAX_S
    for text in (verdict.excerpt, verdict.reason):
        assert len(text) <= EXCERPT_MAX
        assert text.isascii()
        assert text.isprintable()
    assert judge(ROUTES[stream], sent, answer, now_ms=now_ms, secret="") == verdict


@given(
    body=st.binary(max_size=100),
    after=st.binary(max_size=100),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=80),
)
def test_no_excerpt_holds_the_license_key(body: bytes, after: bytes, secret: str) -> None:
    answer = Answer(400, "text/plain", body + secret.encode() + after)
    verdict = judge(ROUTES["transactions"], 1, answer, now_ms=0, secret=secret)
    assert secret not in verdict.excerpt
