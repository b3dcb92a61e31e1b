"""Content of records (61 to 68), judged once, before anything is signed: by ``append``."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from tests.support.attacks import Arena, Attack, Command, Home, each, ids, make_home
from tests.support.commands import SECRET

REFUSED, CONFIG = 1, 78
BODY = b'[{"severityNumber":17,"body":{"stringValue":"%b"}}]'
LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":' + BODY + b"}]}]}"
ESCAPED = "".join(f"\\u{ord(mark):04x}" for mark in SECRET).encode()


def appending(data: bytes, stream: str = "transactions") -> Callable[[Home], Command]:
    return lambda home: ("append", stream, home.put("r.ndjson", data), "--json")


def rows(*lines: bytes) -> bytes:
    return b"\n".join([b'{"id":"before"}', *lines, b'{"id":"after"}', b""])


GOOD = appending(rows(b'{"id":"x"}'))
GOOD_LOG = appending(LOG % b"hello", "logs")
FORMS = {
    "raw": SECRET.encode(),
    "escaped": ESCAPED,
    "base64": base64.b64encode(SECRET.encode()),
    "base64-shifted": base64.b64encode(b"x" + SECRET.encode()),
    "base64url": base64.urlsafe_b64encode(b"?>" + SECRET.encode()),
}
ROWS: list[tuple[int, str, bytes, str]] = [
    (61, "blank", rows(b""), "record.blank"),
    (61, "cr-lf", rows(b'{"id":"x"}\r'), "record.line_end"),
    (61, "bom", b"\xef\xbb\xbf" + rows(), "record.bom"),
    (61, "nul", rows(b'{"id":"x"}\0'), "record.json"),
    (63, "depth-65", rows(b'{"id":"x","a":' + b"[" * 64 + b"]" * 64 + b"}"), "record.depth"),
    (63, "depth-1025", rows(b'{"id":"x","a":' + b"[" * 1024 + b"]" * 1024 + b"}"), "record.depth"),
    (63, "depth-100000", rows(b'{"id":"x","a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "record.depth"),
    (64, "a-key-twice", rows(b'{"id":"x","id":"y"}'), "record.repeated_key"),
    (64, "a-key-twice-by-escape", rows(b'{"id":"x","\\u0069d":"y"}'), "record.repeated_key"),
    (66, "nan", rows(b'{"id":"x","n":NaN}'), "record.json"),
    (66, "infinity", rows(b'{"id":"x","n":Infinity}'), "record.json"),
    (66, "1e999", rows(b'{"id":"x","n":1e999}'), "record.json"),
    (66, "half-a-surrogate", rows(b'{"id":"x","n":"\\ud800"}'), "record.json"),
    (66, "no-utf-8", rows(b'{"id":"x","n":"\xff"}'), "record.json"),
    (66, "utf-16-halves-in-utf-8", rows(b'{"id":"x","n":"\xed\xa0\x80"}'), "record.json"),
    (67, "array", rows(b"[1]"), "record.form"),
    (67, "text", rows(b'"x"'), "record.form"),
    (68, "license", rows(b'{"id":"x","license":"y"}'), "record.secret"),
    (68, "license_key", rows(b'{"id":"x","license_key":null}'), "record.secret"),
    *(
        (68, f"the-key-{name}", rows(b'{"id":"x","a":{"b":["-%b-"]}}' % form), "record.secret")
        for name, form in FORMS.items()
    ),
    (68, "the-key-as-a-name", rows(b'{"id":"x","%b":1}' % SECRET.encode()), "record.secret"),
]  # fmt: skip
ATTACKS = [
    *(Attack(n, name, appending(data), error, REFUSED, GOOD) for n, name, data, error in ROWS),
    *(
        Attack(
            68, f"a-log-with-the-key-{name}", appending(LOG % form, "logs"), "record.secret",
            REFUSED, GOOD_LOG,
        )
        for name, form in FORMS.items()
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    def home(folder: Path) -> Home:
        return make_home(folder, "n", SigningKey(bytes(32)))

    return Arena(tmp_path_factory.mktemp("nodes"), home)


@each(ATTACKS)
def test_attack(nodes: Arena, attack: Attack) -> None:
    told = nodes.check(attack)
    assert told.answer["records"] == 0
    assert SECRET.encode() not in told.out + told.err.encode()


def test_attack_156_log_records_below_a_warning_are_left_out_and_counted(nodes: Arena) -> None:
    home = nodes.fresh()
    low = LOG.replace(b"17", b"9") % b"hello"
    before = home.state()
    told = home.run(*appending(low, "logs")(home))
    assert (told.code, told.answer["records"], told.answer["filtered"]) == (0, 0, 1)
    assert {n for n in home.changed_since(before) if n.endswith(".zst")} == set()
    twin = home.run(*GOOD_LOG(home))
    assert (twin.code, twin.answer["records"], twin.answer["filtered"]) == (0, 1, 0)


def configured(line: str) -> Callable[[Home], Command]:
    """To check the configuration with this line more."""

    def made(home: Home) -> Command:
        with home.config.open("a") as file:
            file.write(line)
        return ("append", "transactions", home.put("r.ndjson", rows()), "--json")

    return made


TELEMETRY_OFF = configured("config: {telemetry: {logs: false, metrics: false, traces: false}}\n")
SWITCHES = [
    "transactions: {enabled: false}\n", "langgraph: {enabled: false}\n",
    "billing: {enabled: false}\n", "config: {telemetry: {transactions: false}}\n",
    "config: {telemetry: {usage: false}}\n", "license: {verification: false}\n",
]  # fmt: skip


@each(
    [
        Attack(158, f"line-{n}", configured(line), "config.billing", CONFIG, TELEMETRY_OFF)
        for n, line in enumerate(SWITCHES)
    ]
)
def test_attack_that_would_switch_billing_off(nodes: Arena, attack: Attack) -> None:
    nodes.check(attack)


@pytest.mark.parametrize(
    "name", ["BEACON_BILLING_ENABLED", "BEACON_ENABLED", "BEACON_USAGE_REPORTING_ENABLED"]
)
def test_attack_158_an_environment_that_would_switch_billing_off_is_refused(
    nodes: Arena, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = nodes.fresh()
    before = home.state()
    monkeypatch.setenv(name, "false")
    told = home.run(*GOOD(home))
    assert (told.code, ids(told)) == (CONFIG, ["config.billing"])
    assert home.state() == before
    monkeypatch.delenv(name)
    monkeypatch.setenv("BEACON_LOGGING_ENABLED", "false")  # its twin, for what may be switched off
    assert home.run(*GOOD(home)).code == 0
