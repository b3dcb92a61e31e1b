"""Records to measure with: 733 bytes each, in the four shapes that telemetry has.

The same on every machine. Ids are random, times advance, numbers vary, words repeat: they compress
as records of real clients do.
"""

from datetime import UTC, datetime
from functools import cache
from random import Random

SIZE = 733
"""Bytes of a record."""
STREAMS = ("transactions", "logs", "metrics", "traces")

_CLAUSES = (
    "database connection pool at %d of 200",
    "run ingested after %d ms",
    "queue depth back to %d",
    "cache miss for session, object store answered in %d ms",
    "slow query on runs_by_start_time: %d ms",
    "worker heartbeat %d s late, task is handed over",
    "feedback batch of %d written",
    "token usage of %d runs counted",
    "upstream closed before the answer was read, try %d",
    "tenant over its limit by %d requests",
    "dropped %d spans without a parent",
    "clock skew of %d ms between nodes",
    "rule evaluated again on %d runs",
    "model returned no choice, attempt %d",
    "lock released by its owner after %d ms",
    "index rebuilt, %d rows",
)
_SERVICES = ("langsmith_backend", "langsmith_queue", "langsmith_platform", "langsmith_ace")
_MODELS = ("gpt-4o", "claude-sonnet-4", "llama-3.3-70b", "mistral-large")
_BEGIN_S = 1_795_424_400


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _time(second: int) -> str:
    return f"{datetime.fromtimestamp(_BEGIN_S + second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _transaction(random: Random, n: int, known: list[str]) -> str:
    tokens = int(random.lognormvariate(8, 1))
    return (
        f'{{"id":"{_uuid(random)}","tenant_id":"{known[n % 5]}",'
        f'"session_id":"{random.choice(known)}","trace_count":{random.randint(1, 400)},'
        f'"start_insertion_time":"{_time(n)}","end_insertion_time":"{_time(n + 60)}",'
        f'"start_interval_time":"{_time(n // 60 * 60)}",'
        f'"end_interval_time":"{_time(n // 60 * 60 + 60)}","status":"completed",'
        f'"num_failed_send_attempts":0,"transaction_type":"longlived_traces",'
        f'"organization_id":"{known[0]}","metadata":{{"model":"{random.choice(_MODELS)}",'
        f'"prompt_tokens":{tokens},"completion_tokens":{tokens // 7},"note":"%s"}}}}'
    )


def _resource(random: Random, rest: str, name: str, inner: str, items: str) -> str:
    return (
        f'{{"{name}":[{{"resource":{{"attributes":[{{"key":"service.name",'
        f'"value":{{"stringValue":"{random.choice(_SERVICES)}"}}}},{{"key":"env",'
        f'"value":{{"stringValue":"ls_self_hosted"}}}}]}},"{inner}":[{{'
        f'"scope":{{"name":"langsmith"}},"{items}":[{rest}]}}]}}]}}'
    )


def _log(random: Random, n: int, known: list[str]) -> str:
    at = f"{_BEGIN_S + n}{random.randrange(10**9):09d}"
    record = (
        f'{{"timeUnixNano":"{at}","observedTimeUnixNano":"{at}","severityNumber":13,'
        f'"severityText":"Warning","body":{{"stringValue":"%s"}},"attributes":[{{"key":"tenant",'
        f'"value":{{"stringValue":"{random.choice(known)}"}}}},{{"key":"pool_size",'
        f'"value":{{"intValue":{random.randint(1, 200)}}}}}]}}'
    )
    return _resource(random, record, "resourceLogs", "scopeLogs", "logRecords")


def _metric(random: Random, n: int, known: list[str]) -> str:
    metric = (
        f'{{"name":"langsmith_http_requests_failed","description":"%s","unit":"1","sum":{{'
        f'"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{{"attributes":[{{'
        f'"key":"tenant","value":{{"stringValue":"{random.choice(known)}"}}}}],'
        f'"startTimeUnixNano":"{_BEGIN_S}000000000","timeUnixNano":"{_BEGIN_S + n * 15}'
        f'{random.randrange(10**9):09d}","asDouble":{random.lognormvariate(5, 1):.3f}}}]}}}}'
    )
    return _resource(random, metric, "resourceMetrics", "scopeMetrics", "metrics")


def _trace(random: Random, n: int, known: list[str]) -> str:
    begin = (_BEGIN_S + n) * 10**9 + random.randrange(10**9)
    span = (
        f'{{"traceId":"{random.getrandbits(128):032x}","spanId":"{random.getrandbits(64):016x}",'
        f'"name":"receive_request","kind":2,"startTimeUnixNano":"{begin}",'
        f'"endTimeUnixNano":"{begin + int(random.lognormvariate(16, 1))}","attributes":[{{'
        f'"key":"tenant","value":{{"stringValue":"{random.choice(known)}"}}}},{{"key":"note",'
        f'"value":{{"stringValue":"%s"}}}}],"status":{{"code":{random.choice((0, 0, 0, 2))}}}}}'
    )
    return _resource(random, span, "resourceSpans", "scopeSpans", "spans")


def _words(random: Random, room: int) -> str:
    """What a program says of itself: known clauses with numbers of the moment, ``room`` bytes."""
    said = ""
    while len(said) < room:
        said += random.choice(_CLAUSES) % int(random.lognormvariate(5, 2)) + "; "
    return said[:room]


_SHAPES = dict(zip(STREAMS, (_transaction, _log, _metric, _trace), strict=True))


@cache
def records(stream: str, count: int) -> tuple[bytes, ...]:
    """The first ``count`` records of a stream; each is a line without its line end."""
    random = Random(stream)  # noqa: S311 - the same everywhere
    known = [_uuid(random) for _ in range(64)]
    made = []
    for n in range(count):
        shape = _SHAPES[stream](random, n, known)
        room = SIZE - len(shape) + 2
        made.append(shape.replace("%s", _words(random, room), 1).encode())
    return tuple(made)
