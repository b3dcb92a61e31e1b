"""What each answer means, row by row."""

from collections.abc import Mapping

import pytest

from bridge.egress.answers import Answer, Failure
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import EXCERPT_MAX, LOOP, PROXY_LOGIN, Kind, Verdict, judge

NOW_MS = 1_795_000_000_000
"""Wed, 18 Nov 2026 11:06:40 GMT."""
SENT = 5
JSON = "application/json"
OTLP = ("logs", "metrics", "traces")

ROWS: Mapping[Kind, tuple[int, ...]] = {
    Kind.NOT_BEACON: (100, 101, 103, 300, 301, 302, 303, 304, 307, 308, 399),
    Kind.BISECT: (400, 422),
    Kind.SPLIT: (413,),
    Kind.PAUSE_LICENSE: (401, 403),
    Kind.PAUSE_ALL: (407,),
    Kind.PAUSE_ROUTE: (402, 404, 405, 406, 409, 410, 411, 415, 421, 423, 426, 428, 431, 451, 501),
    Kind.RETRY: (408, 429, 500, 502, 503, 504, 505, 507, 511, 520, 524, 599),
}


def verdict(
    stream: str, status: int, body: bytes = b"", content_type: str = JSON, *, sent: int = SENT
) -> Verdict:
    return judge(ROUTES[stream], sent, Answer(status, content_type, body), now_ms=NOW_MS, secret="")


@pytest.mark.parametrize("stream", ROUTES)
@pytest.mark.parametrize(
    ("kind", "status"), [(kind, status) for kind, row in ROWS.items() for status in row]
)
def test_a_status_that_is_no_success_has_one_meaning_on_every_route(
    stream: str, kind: Kind, status: int
) -> None:
    # Whatever it says beside, for instance what a success would say.
    for body in (b"", b"{}", b'{"inserted_count":5}', b"<html>"):
        found = verdict(stream, status, body)
        assert found.kind is kind
        assert found.accepted is None
        assert str(status) in found.reason


def test_a_proxy_that_wants_a_login_is_told_by_its_own_words() -> None:
    assert verdict("logs", 407).reason == PROXY_LOGIN


SUCCESSES = [
    ("transactions", 200, b'{"inserted_count":5}', 5),
    ("transactions", 201, b'{"inserted_count":5,"more":[1]}', 5),
    ("transactions", 200, b'{"inserted_count":3}', 3),
    ("transactions", 200, b'{"inserted_count":0}', 0),
    ("langgraph", 200, b"{}", None),
    ("langgraph", 200, b"", None),
    ("langgraph", 204, b"", None),
    ("langgraph", 202, b'{"any":"thing"}', None),
    ("snapshots", 204, b"", None),
    *((stream, 200, b"{}", None) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":null}', None) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":{}}', None) for stream in OTLP),
    ("logs", 200, b'{"partialSuccess":{"rejectedLogRecords":"0"}}', None),
    ("logs", 200, b'{"partialSuccess":{"errorMessage":"a warning"}}', None),
]


@pytest.mark.parametrize(("stream", "status", "body", "accepted"), SUCCESSES)
def test_a_success_has_the_routes_own_shape(
    stream: str, status: int, body: bytes, accepted: int | None
) -> None:
    found = verdict(stream, status, body)
    assert (found.kind, found.accepted) == (Kind.DELIVERED, accepted)


@pytest.mark.parametrize("content_type", [JSON, "APPLICATION/JSON", "application/json; charset=x"])
def test_the_name_of_json_is_read_as_http_says(content_type: str) -> None:
    found = verdict("transactions", 200, b'{"inserted_count":5}', content_type)
    assert found.kind is Kind.DELIVERED


@pytest.mark.parametrize(
    ("stream", "body"),
    [
        ("logs", b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}'),
        ("metrics", b'{"partialSuccess":{"rejectedDataPoints":2}}'),
        ("traces", b'{"partialSuccess":{"errorMessage":"no","rejectedSpans":"2"}}'),
    ],
)
def test_a_partial_success_is_delivered_and_never_rounded_to_all(stream: str, body: bytes) -> None:
    found = verdict(stream, 200, body)
    assert found.kind is Kind.DELIVERED
    assert found.accepted is not None
    assert found.accepted < SENT


PORTAL = b"<!doctype html><title>Log in</title>"
STRANGE = [
    *((stream, 200, PORTAL, "text/html") for stream in ROUTES),
    *((stream, 200, PORTAL, JSON) for stream in ROUTES),
    *((stream, 200, b"{}", "text/html") for stream in ROUTES),
    *((stream, 200, b"{}", "text/plain") for stream in ROUTES),
    *((stream, 200, b"{}", "") for stream in ROUTES),
    *((stream, 200, b"[]", JSON) for stream in ROUTES),
    *((stream, 200, b'"ok"', JSON) for stream in ROUTES),
    *((stream, 200, b"null", JSON) for stream in ROUTES),
    *((stream, 200, b'{"inserted_count":5', JSON) for stream in ROUTES),
    *((stream, 200, b'{"inserted_count":5}{}', JSON) for stream in ROUTES),
    *((stream, 200, b'{"a":"\xff"}', JSON) for stream in ROUTES),
    *((stream, 200, b'{"a":' * 5000, JSON) for stream in ROUTES),
    ("transactions", 200, b"", JSON),
    ("transactions", 204, b"", ""),
    ("transactions", 200, b"{}", JSON),
    ("transactions", 200, b'{"inserted_count":-1}', JSON),
    ("transactions", 200, b'{"inserted_count":5.0}', JSON),
    ("transactions", 200, b'{"inserted_count":"5"}', JSON),
    ("transactions", 200, b'{"inserted_count":true}', JSON),
    ("transactions", 200, b'{"inserted_count":null}', JSON),
    ("transactions", 200, b'{"inserted_count":1e999}', JSON),
    ("snapshots", 200, b"", JSON),
    ("snapshots", 200, b"{}", JSON),
    *((stream, 200, b"", JSON) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":[]}', JSON) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":{"rejectedSpans":-1}}', JSON) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":{"rejectedSpans":"x"}}', JSON) for stream in OTLP),
    *((stream, 200, b'{"partialSuccess":{"rejectedSpans":true}}', JSON) for stream in OTLP),
]


@pytest.mark.parametrize(("stream", "status", "body", "content_type"), STRANGE)
def test_a_2xx_of_another_shape_is_not_the_beacon(
    stream: str, status: int, body: bytes, content_type: str
) -> None:
    assert verdict(stream, status, body, content_type).kind is Kind.NOT_BEACON


@pytest.mark.parametrize("stream", ROUTES)
def test_an_answer_that_was_cut_is_not_the_beacon(stream: str) -> None:
    answer = Answer(200, JSON, b'{"inserted_count":5}', cut=True)
    assert judge(ROUTES[stream], SENT, answer, now_ms=NOW_MS, secret="").kind is Kind.NOT_BEACON


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("text/html; charset=utf-8", "not the beacon: status 200 with text/html"),
        ("", "not the beacon: status 200 with no content type"),
        ("\x1b[31mred", "not the beacon: status 200 with an odd content type"),
        ("a" * 500, "not the beacon: status 200 with an odd content type"),
    ],
)
def test_what_answered_instead_is_said_and_safe_to_show(content_type: str, said: str) -> None:
    assert verdict("logs", 200, PORTAL, content_type).reason == said


@pytest.mark.parametrize("unknown", [True, False])
def test_a_failure_is_tried_again_and_keeps_what_is_known_of_it(*, unknown: bool) -> None:
    found = judge(
        ROUTES["logs"], 1, Failure("why", outcome_unknown=unknown), now_ms=NOW_MS, secret=""
    )
    assert found == Verdict(Kind.RETRY, "why", outcome_unknown=unknown)


@pytest.mark.parametrize("status", [408, 500, 502, 504, 520, 524])
def test_after_some_answers_the_beacon_may_have_it_all_the_same(status: int) -> None:
    assert verdict("transactions", status).outcome_unknown


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 407, 413, 422, 429, 501, 503])
def test_after_the_others_it_has_not(status: int) -> None:
    assert not verdict("transactions", status).outcome_unknown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("3600", 3600),
        ("3601", 3600),
        ("1000000000", 3600),
        ("9" * 5000, 3600),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("1_0", None),
        ("0x10", None),
        (" 7", None),
        ("7\n", None),
        ("7, 7", None),
        ("\u0667", None),
        ("", None),
        ("soon", None),
        ("Wed, 18 Nov 2026 11:08:40 GMT", 120),
        ("Wed, 18 Nov 2026 11:06:40 GMT", None),
        ("Tue, 17 Nov 2026 11:06:40 GMT", None),
        ("Fri, 18 Nov 2126 11:06:40 GMT", 3600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Sat, 01 Jan 0000 00:00:00 GMT", None),
        ("Wed, 31 Feb 2027 11:08:40 GMT", None),
        ("Wed, 18 Nov 2026 11:08:60 GMT", None),
        ("Wed, 18 Nov 2026 99:08:40 GMT", None),
        ("Wed, 18 Nov 2026 11:08:40", None),
        ("Wed, 18 Nov 2026 11:08:40 -0800", None),
        ("Wed, 18 Nov 2026 11:08:40 GMT\n", None),
        ("2026-11-18T11:08:40Z", None),
        ("18 Nov 26", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 302])
def test_retry_after_is_read_strictly_and_bounded(
    text: str | None, seconds: float | None, status: int
) -> None:
    answer = Answer(status, JSON, b"", text)
    assert judge(ROUTES["logs"], SENT, answer, now_ms=NOW_MS, secret="").retry_after_s == seconds


def test_an_excerpt_is_short_and_printable() -> None:
    body = b'{"error":"\x1b[2J\x07 line\r\n~line \xe2\x80\xae\xff\x9b"}' + b"x" * 60000
    found = verdict("logs", 400, body).excerpt
    assert found.startswith('{"error":" [2J line ~line "}xxx')
    assert len(found) == EXCERPT_MAX
    assert found.isascii()
    assert found.isprintable()


@pytest.mark.parametrize("key", ["lcl_EXAMPLE_NOT_A_KEY", 'odd"key\\with/marks'])
@pytest.mark.parametrize("before", [0, EXCERPT_MAX - 5, EXCERPT_MAX * 4 - 5])
def test_an_answer_that_repeats_the_license_key_leaves_none_of_it(key: str, before: int) -> None:
    in_json = key.replace("\\", "\\\\").replace('"', '\\"')
    for form in (key, in_json):
        answer = Answer(403, JSON, b"x" * before + form.encode() + b" " + form.encode())
        found = judge(ROUTES["transactions"], 1, answer, now_ms=NOW_MS, secret=key)
        assert found.excerpt == ("x" * before + "[license] [license]")[:EXCERPT_MAX]


@pytest.mark.parametrize("status", [99, 600, 999])
def test_a_status_that_http_does_not_know_is_not_the_beacon(status: int) -> None:
    assert verdict("logs", status).kind is Kind.NOT_BEACON


def test_a_request_that_came_back_to_its_own_bridge_stops_everything() -> None:
    body = b'{"error":{"id":"upstream.loop"}}'
    failure = Failure("why", outcome_unknown=False, is_loop=True)
    assert judge(ROUTES["logs"], 1, failure, now_ms=NOW_MS, secret="") == Verdict(
        Kind.PAUSE_ALL, LOOP
    )
    assert verdict("logs", 508, body) == Verdict(Kind.PAUSE_ALL, LOOP, excerpt=body.decode())


@pytest.mark.parametrize(
    ("status", "body"), [(508, b"{}"), (508, b"UPSTREAM.LOOP"), (500, b"upstream.loop")]
)
def test_only_both_status_and_name_of_a_loop_make_one(status: int, body: bytes) -> None:
    assert verdict("logs", status, body).kind is Kind.RETRY


def test_what_a_success_said_is_kept_for_people() -> None:
    assert verdict("transactions", 200, b'{"inserted_count":5}').excerpt == '{"inserted_count":5}'


@pytest.mark.parametrize("ms", [1, 999, 1000])
def test_a_date_that_is_less_than_a_second_away_is_waited_for_too(ms: int) -> None:
    answer = Answer(503, JSON, b"", "Wed, 18 Nov 2026 11:06:40 GMT")
    found = judge(ROUTES["logs"], SENT, answer, now_ms=NOW_MS - ms, secret="").retry_after_s
    assert found == pytest.approx(ms / 1000, abs=1e-6)
