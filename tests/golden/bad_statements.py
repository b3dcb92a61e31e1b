"""Statements that a reader must refuse, each well signed: (name, error, why, payload)."""

from collections.abc import Iterator

from tests.golden.build import CHAIN, LINES, compact, frame, statement

_FRAMES = frame(LINES)
_SAID = statement(_FRAMES, LINES)
_LATER = {"seq": 7, "prev": "1" * 64, "before": {"records": 12, "raw_size": 1200}}
_OTHER = "ab" * 16
_BARE = {"records": 0, "raw_size": 0, "size": 0, "first_at": None, "last_at": None}

Row = tuple[str, str, str, bytes]


def bad_statements() -> Iterator[Row]:
    """Every one of them."""
    yield from _spelled()
    yield from _fields()
    yield from _senseless()


def _spelled() -> Iterator[Row]:
    """What a tolerant JSON reader takes, each one differently."""
    number = "json.number"
    for name, error, why, old, new in (
        (
            "key-twice",
            "json.duplicate_key",
            "readers differ in which one counts",
            '"seq":1',
            '"seq":9,"seq":1',
        ),
        (
            "inner-key-twice",
            "json.duplicate_key",
            "the same, deeper",
            '{"records":0',
            '{"records":7,"records":0',
        ),
        ("number-with-a-point", number, "no whole number", '"seq":1', '"seq":1.0'),
        ("number-with-an-exponent", number, "no whole number", '"seq":1', '"seq":1e0'),
        ("number-minus-zero", number, "two spellings of zero", '{"records":0', '{"records":-0'),
        ("number-2-53", number, "readers round it", '"records":2,', '"records":9007199254740992,'),
        (
            "number-2-64",
            number,
            "readers round it",
            '"records":2,',
            '"records":18446744073709551616,',
        ),
        ("number-not-finite", number, "no JSON", '"records":2,', '"records":NaN,'),
        ("number-leading-zero", "json.form", "no JSON", '"seq":1', '"seq":01'),
        (
            "statement-trailing",
            "json.trailing",
            "bytes after the document",
            f'"policy":"{"0" * 64}"}}',
            f'"policy":"{"0" * 64}"}} {{}}',
        ),
    ):
        text = compact(_SAID).decode()
        assert old in text
        yield name, error, why, text.replace(old, new, 1).encode()
    yield "statement-no-json", "json.form", "no document", b"segment 1"
    yield "statement-is-a-list", "document.form", "no object", b"[" + compact(_SAID) + b"]"
    deep = compact(_SAID).replace(b'"v":1', b'"v":' + b"[" * 200 + b"]" * 200)
    yield "statement-too-deep", "json.depth", "it would exhaust a reader's stack", deep


def _fields() -> Iterator[Row]:
    field = "document.field"
    for name, why, changes in (
        ("version-2", "not what this version means", {"v": 2}),
        ("number-is-true", "no number", {"seq": True}),
        ("number-is-text", "no number", {"seq": "1"}),
        ("seq-zero", "numbers begin at 1", {"seq": 0}),
        ("seq-13-digits", "its name would not sort", {"seq": 10**12}),
        ("records-negative", "no count", {"records": -2}),
        ("node-climbs", "a path out of the spool", {"node": "../up"}),
        ("node-in-capitals", "two names for one folder", {"node": "Prod-1"}),
        ("node-with-line-end", "two names for one folder", {"node": "prod-1\n"}),
        ("node-of-64", "longer than a host name", {"node": "n" * 64}),
        ("stream-climbs", "a path out of the spool", {"stream": "../../x"}),
        ("chain-in-capitals", "two spellings of one chain", {"chain": CHAIN.upper()}),
        ("chain-short", "no chain", {"chain": CHAIN[:-1]}),
        ("prev-short", "no digest", {"prev": "0" * 63}),
        ("sha256-is-null", "no digest", {"sha256": None}),
        ("before-is-null", "no totals", {"before": None}),
        ("reason-unknown", "nobody knows what it means", {"reason": "mood"}),
        ("follows-is-null", "absent is absent", {"follows": None}),
        ("time-with-offset", "one form", {"first_at": "2026-11-23T09:00:00.00+01"}),
        ("time-is-a-number", "no time", {"first_at": 1795424400}),
    ):
        yield name, field, why, compact(_SAID | changes)
    less = {name: value for name, value in _SAID.items() if name != "before"}
    yield "key-missing", field, "all of them or none", compact(less)
    unknown = compact({**_SAID, "hint": "skip the signature"})
    yield (
        "key-unknown",
        "document.unknown_key",
        "a reader that passes it over agrees to it",
        unknown,
    )
    inner = _SAID | {"before": {"records": 0, "raw_size": 0, "more": 1}}
    yield "inner-key-unknown", "document.unknown_key", "the same, deeper", compact(inner)
    huge = compact({**_SAID, "policy": "0" * 33_000})
    yield "statement-too-large", "json.too_large", "more than any statement has", huge
    ranges = {"ranges": "9,4", "records": None, "raw_size": None, "why": "bad_frames"}
    lost = _SAID | _BARE | {"reason": "loss", "lost": ranges}
    yield "lost-ranges-out-of-order", "ranges.form", "two texts for one set", compact(lost)


def _senseless() -> Iterator[Row]:
    follows = {"chain": _OTHER, "seq": 3, "digest": "1" * 64, "why": "moved"}
    lost = {"ranges": "4", "records": None, "raw_size": None, "why": "bad_frames"}
    new = {"seq": 1_000_000}
    for name, why, changes in (
        ("time-30-february", "no day", {"first_at": "2026-02-30T09:00:00.000Z"}),
        ("time-backwards", "the last before the first", {"first_at": "2026-11-23T09:00:09.251Z"}),
        ("time-missing", "records without a time", {"first_at": None}),
        ("node-reserved", "a folder of the spool itself", {"node": "quarantine"}),
        ("heartbeat-with-records", "hides records from counts", {"reason": "heartbeat"}),
        ("age-without-records", "nothing to seal", _BARE),
        ("more-records-than-bytes", "a record has at least two", {"raw_size": 3}),
        ("loss-without-lost", "what was lost?", _BARE | {"reason": "loss"}),
        ("lost-without-loss", "a loss hidden in another kind", {"lost": lost}),
        ("of-without-recovered", "replaces, but is no rescue", _LATER | {"of": 3}),
        ("of-itself", "replaces what is not before it", _LATER | {"of": 7, "reason": "recovered"}),
        ("first-with-something-before", "records cut off", {"before": _LATER["before"]}),
        ("first-at-seven", "six segments cut off", {"seq": 7}),
        ("one-with-a-predecessor", "there is no number 0", {"prev": "1" * 64}),
        ("one-that-follows", "numbers used twice", {"follows": follows}),
        ("follows-within-a-chain", "only the first can", _LATER | {"follows": follows}),
        (
            "follows-what-comes-later",
            "numbers used twice",
            new | {"follows": follows | {"seq": 10**6}},
        ),
        ("follows-itself", "no other chain", new | {"follows": follows | {"chain": CHAIN}}),
    ):
        yield name, "statement.sense", why, compact(_SAID | changes)
