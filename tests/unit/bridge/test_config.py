"""A configuration error names where, which key, what is allowed, and an example."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import find_file, load
from bridge.config.keys import KEYS, SECTIONS
from bridge.config.licensekeys import load_license_keys
from bridge.config.load import parse
from bridge.config.yamlfile import Setting, read_settings
from bridge.intake.switches import SWITCHES, switched_off
from keys.errors import ConfigError
from spool.lane import Lane
from spool.streams import STREAMS

NODE = b"node: n\n"


def written(folder: Path, data: bytes) -> Path:
    path = folder / "bridge.yaml"
    path.write_bytes(data)
    return path


def error_of(folder: Path, data: bytes, environment: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, data), environment or {})
    return caught.value


def test_a_node_name_is_enough_and_everything_else_has_its_default(tmp_path: Path) -> None:
    config = load(written(tmp_path, NODE), {})
    assert config.node == "n"
    assert config.egress.max_request == 4 * 2**20
    assert config.egress.deadline == 60_000
    assert config.intake.listen == ("127.0.0.1", 8480)
    assert config.spool.path == tmp_path / "spool"
    assert config.keys.path == tmp_path / "keys"
    assert config.spool.seal.age is None
    assert config.spool.retention.keep.billing == 400 * 86_400_000


@pytest.mark.parametrize("key", KEYS)
def test_a_rule_with_a_limit_names_it(key: str) -> None:
    row = KEYS[key]
    for value in ("9000000GiB", "9000000d", 10**9, "9000000GiB/s"):
        with suppress(ValueError, TypeError):
            row.parse(value)
            continue
        if any(word in row.allowed for word in ("size", "duration", "number", "bytes a second")):
            assert re.search(r"(?:to|up to) [0-9]", row.allowed), row.allowed


def test_windows_may_have_the_dash_of_a_text_that_was_set_in_type() -> None:
    assert KEYS["egress.windows"].parse(["22:00\u201304:00 UTC"]) == ("22:00-04:00",)


def test_every_default_is_what_its_own_rule_allows() -> None:
    for name, row in KEYS.items():
        line = row.example
        settings = dict(read_settings(b"x: " + line.encode(), "f", lambda _: False))
        row.parse(settings["x"].value), name


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", "config.node", ["bridge.yaml", "node"]),
        (b"node: Prod_1", "config.value", ["line 1", "`node`", "a-z", "prod-1"]),
        (b"node: quarantine", "config.value", ["line 1", "`node`"]),
        (NODE + b"nodes: x", "config.unknown_key", ["line 2", "nodes"]),
        (NODE + b"egress: {mode: maybe}", "config.value", ["line 2", "`egress.mode`", "online"]),
        (NODE + b"egress:\n  moode: online", "config.unknown_key", ["line 3", "egress.moode"]),
        (NODE + b"egress: online", "config.section", ["line 2", "`egress`"]),
        (NODE + b"egress: {max_request: 4MB}", "config.value", ["64KiB to 8MiB", "4MiB"]),
        (NODE + b"egress: {max_request: 9MiB}", "config.value", ["64KiB to 8MiB"]),
        (NODE + b"egress: {max_request: true}", "config.value", ["egress.max_request"]),
        (NODE + b"egress: {deadline: 60}", "config.value", ["1s to 1h", "60s"]),
        (NODE + b"egress: {deadline: 1e3s}", "config.value", ["egress.deadline"]),
        (NODE + b"beacon: {url: http://beacon.example}", "config.value", ["https://"]),
        (NODE + b"beacon: {url: http://localhost:80}", "config.value", ["loopback address"]),
        (NODE + b"beacon: {url: https://u:p@b.example}", "config.value", ["beacon.url"]),
        (NODE + b"beacon: {url: 'https://b.example/x?y'}", "config.value", ["beacon.url"]),
        (NODE + b"beacon: {url: https://b.example:99999}", "config.value", ["beacon.url"]),
        (NODE + b"beacon: {url: https://b.example:0}", "config.value", ["beacon.url"]),
        (NODE + b"beacon: {url: https://999.0.0.1}", "config.value", ["beacon.url"]),
        (NODE + b"beacon: {url: 'https://[127.0.0.1]'}", "config.value", ["beacon.url"]),
        (NODE + b"intake: {listen: 8480}", "config.value", ["127.0.0.1:8480"]),
        (NODE + b"intake: {listen: localhost:8480}", "config.value", ["intake.listen"]),
        (NODE + b"intake: {listen: 127.0.0.1:65536}", "config.value", ["intake.listen"]),
        (NODE + b"spool: {seal: {size: 1GiB}}", "config.value", ["256MiB"]),
        (NODE + b"licenses: [a]", "config.value", ["licenses"]),
        (NODE + b"licenses: {n: a}", "config.value", ["licenses"]),
        (NODE + b"transfer: {copies: 0}", "config.value", ["1 to 100"]),
        (NODE + b"node: m", "config.repeated", ["line 2", "twice"]),
        (NODE + b"egress: {mode: online, mode: offline}", "config.repeated", ["line 2"]),
        (b"node: &a n\nadmin: *a", "config.alias", ["line 2"]),
        (b"node: [", "config.yaml", ["bridge.yaml"]),
        (b"node: !!python/object:os.system x", "config.yaml", ["line 1"]),
        (b"\xff\xfe", "config.text", ["UTF-8"]),
        (b"- node", "config.section", ["line 1"]),
        (b"x" * 300_000, "config.too_large", ["bytes"]),
        (NODE + b"config: {telemetry: {billing: false}}", "config.billing", ["no such switch"]),
        (NODE + b"config: {telemetry: {transactions: false}}", "config.billing", ["line 2"]),
        (NODE + b"billing: {enabled: false}", "config.billing", ["line 2"]),
        (NODE + b"streams: {langgraph: false}", "config.billing", ["streams", "license"]),
        (NODE + b"license: {verify: false}", "config.billing", ["license.verify"]),
        (NODE + b"intake: {listen: 127.0.0.1:8481}", "config.listen", ["line 2", "admin.listen"]),
        (NODE + b"admin: {listen: 127.0.0.1:8480}", "config.listen", ["line 2", "intake.listen"]),
        (NODE + b"transfer: {return_text: 501}", "config.value", ["transfer.return_text"]),
        (NODE + b'egress: {windows: ["22:00-22:00"]}', "config.value", ["egress.windows"]),
        (NODE + b'egress: {windows: ["22-04"]}', "config.value", ["egress.windows"]),
        (NODE + b"egress: {rate: 500/s}", "config.value", ["egress.rate"]),
        (NODE + b"egress: {rate: 1B/s}", "config.value", ["egress.rate"]),
    ],
)
def test_a_bad_file_is_refused_by_file_line_key_rule_and_example(
    tmp_path: Path, data: bytes, error: str, words: list[str]
) -> None:
    found = error_of(tmp_path, data)
    assert found.id == error
    assert found.exit_code == 78
    for word in words:
        assert word in found.message + " " + found.hint


def test_the_environment_overrides_the_file_and_is_named_in_errors(tmp_path: Path) -> None:
    path = written(tmp_path, NODE + b"egress: {max_request: 1MiB}")
    config = load(path, {"BRIDGE_EGRESS__MAX_REQUEST": "2MiB", "BRIDGE_NODE": "other"})
    assert (config.node, config.egress.max_request) == ("other", 2 * 2**20)
    found = error_of(tmp_path, NODE, {"BRIDGE_EGRESS__MODE": "maybe"})
    assert "environment BRIDGE_EGRESS__MODE" in found.message
    assert error_of(tmp_path, NODE, {"BRIDGE_NOTHING": "1"}).id == "config.unknown_key"


@pytest.mark.parametrize(
    "name",
    [
        "BEACON_LOGGING_ENABLED",
        "BEACON_METRICS_ENABLED",
        "BEACON_TRACING_ENABLED",
        "PHONE_HOME_USAGE_REPORTING_ENABLED",
    ],
)
def test_a_vendor_switch_is_never_ignored_in_silence(tmp_path: Path, name: str) -> None:
    stream = {"LOGGING": "logs", "METRICS": "metrics", "TRACING": "traces"}.get(
        name.split("_")[1], "snapshots"
    )
    path = written(tmp_path, NODE)
    assert switched_off(load(path, {})) == switched_off(load(path, {name: "true"})) == set()
    for word in ("false", "False", " false "):
        assert switched_off(load(path, {name: word})) == {stream}
    for word in ("perhaps", "0", ""):
        assert error_of(tmp_path, NODE, {name: word}).id == "config.value"


OFF = b"config: {telemetry: {logs: false}}\nsnapshots: {enabled: false}\n"


def test_what_is_switched_off_anywhere_stays_off(tmp_path: Path) -> None:
    on = {"BEACON_LOGGING_ENABLED": "true", "PHONE_HOME_USAGE_REPORTING_ENABLED": "true"}
    ours = {"BRIDGE_CONFIG__TELEMETRY__LOGS": "true", "BRIDGE_SNAPSHOTS__ENABLED": "true"}
    path = written(tmp_path, NODE + OFF)
    for environment in ({}, on, ours, on | ours):
        assert switched_off(load(path, environment)) == {"logs", "snapshots"}
    path = written(tmp_path, NODE)
    assert switched_off(load(path, on | {"BRIDGE_SNAPSHOTS__ENABLED": "false"})) == {"snapshots"}
    assert switched_off(load(path, ours | {"BEACON_LOGGING_ENABLED": "false"})) == {"logs"}
    wrong = {"BEACON_LOGGING_ENABLED": "perhaps"}
    assert error_of(tmp_path, NODE + OFF, wrong).id == "config.value"


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [
        ("BEACON_BILLING_ENABLED", "false", "true"),
        ("BEACON_TRANSACTIONS_ENABLED", "False", "true"),
        ("BEACON_INGEST_ENABLED", "0", "1"),
        ("BEACON_ENABLED", "no", "yes"),
        ("BEACON_DISABLED", "true", "false"),
        ("BEACON_LICENSE_VERIFICATION_ENABLED", "off", "on"),
        ("PHONE_HOME_ENABLED", "false", "true"),
        ("LANGGRAPH_USAGE_REPORTING_ENABLED", "false", "true"),
        ("LANGGRAPH_USAGE_ENABLED", "false", "true"),
        ("LANGSMITH_USAGE_REPORTING_DISABLED", "1", "0"),
        ("BRIDGE_CONFIG__TELEMETRY__BILLING", "false", None),
    ],
)
def test_a_variable_that_would_switch_billing_off_is_refused_with_the_reason(
    tmp_path: Path, name: str, off: str, on: str | None
) -> None:
    found = error_of(tmp_path, NODE, {name: off})
    assert (found.id, found.exit_code) == ("config.billing", 78)
    assert f"environment {name}" in found.message
    assert "the license asks for usage reports" in found.message
    if on is not None:
        assert load(written(tmp_path, NODE), {name: on}).node == "n"


@pytest.mark.parametrize(
    "name",
    ["LANGSMITH_TRACING", "LANGGRAPH_CLOUD_LICENSE_KEY", "BEACON_ENDPOINT", "BEACON_UI_ENABLED"],
)
def test_variables_that_mean_something_else_are_left_alone(tmp_path: Path, name: str) -> None:
    assert switched_off(load(written(tmp_path, NODE), {name: "false"})) == set()


def test_billing_is_in_no_table_of_switches() -> None:
    assert set(SWITCHES) == {row.name for row in STREAMS.values() if row.kind != "billing"}


def test_a_data_planes_credential_is_read_from_its_file_and_shown_by_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "auth").write_text("data-plane-SECRET\n")
    config = load(written(tmp_path, NODE + b"data_plane_auth_file: auth"), {})
    keys = load_license_keys(config, {})
    assert keys.data_plane_auth == "data-plane-SECRET"
    assert keys.guard().found_in(b"x data-plane-SECRET y")
    assert keys.sendable(Lane(tmp_path, "n", "logs"))
    assert not keys.sendable(Lane(tmp_path, "other", "logs"))
    assert not keys.sendable(Lane(tmp_path, "n", "transactions"))
    assert "SECRET" not in repr(vars(keys))


def test_a_file_here_that_others_may_write_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, NODE)
    monkeypatch.chdir(tmp_path)
    assert find_file(None, {}) == path
    path.chmod(0o666)
    with pytest.raises(ConfigError) as caught:
        find_file(None, {})
    assert caught.value.id == "config.unsafe"
    assert find_file(path, {}) == path


def test_without_any_file_the_hint_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_file(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert caught.value.id == "config.missing"
    assert "bridge init" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "error", "word"),
    [
        ("nowhere.yaml", "config.missing", "bridge init"),
        ("folder", "config.unreadable", "--config"),
    ],
)
def test_a_file_that_is_named_and_is_not_there_is_told_from_one_that_cannot_be_read(
    tmp_path: Path, name: str, error: str, word: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, {})
    assert caught.value.id == error
    assert word in caught.value.hint


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy:99999",
        "http://proxy:0",
        "http://proxy:abc",
        "http://user:SECRET#1@proxy:3128",
        "http://user:12#SECRET@proxy",
        "http://user:SECRET?@proxy",
        "http://SECRET@SECRET@proxy",
        "http://pro xy:1",
        "http://proxy/path",
        "http://[::1",
        "http://[127.0.0.1]:1",
        "http://127.0.1:1",
        "http://999.0.0.1:1",
        "socks5://proxy:1",
    ],
)
def test_what_would_connect_to_another_proxy_is_refused_without_showing_it(
    tmp_path: Path, proxy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, NODE + f"beacon: {{proxy: '{proxy}'}}".encode()), {})
    assert caught.value.id == "config.value"
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "proxy",
    ["http://proxy", "https://my_proxy:3128/", "http://u%40x:p%23w@proxy:8080", "http://[::1]:1"],
)
def test_a_proxy_is_taken_as_it_is_written(tmp_path: Path, proxy: str) -> None:
    text = NODE + f"beacon: {{proxy: '{proxy}'}}".encode()
    assert load(written(tmp_path, text), {}).beacon.proxy == proxy


def test_license_keys_come_from_files_and_are_shown_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("lcl_FIRST_KEY\n")
    (tmp_path / "two").write_text("lcl_SECOND_KEY")
    config = load(written(tmp_path, NODE + b"license_key_file: one\nlicenses: {n: [two]}"), {})
    keys = load_license_keys(config, {})
    assert keys.to_send("n") == "lcl_FIRST_KEY"
    assert keys.accepts("n", "lcl_FIRST_KEY")
    assert keys.accepts("n", "lcl_SECOND_KEY")
    assert not keys.accepts("n", "lcl_THIRD_KEY")
    assert not keys.accepts("m", "lcl_FIRST_KEY")
    assert keys.to_send("m") is None
    assert keys.guard().found_in(b'{"a":"lcl_SECOND_KEY"}')
    assert "lcl_" not in repr(vars(keys))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "two\nlines",
        "caf\xe9-caf\xe9",
        "x" * 5000,
        "a\x1bbcdefgh",
        "lcl_WITH_A_SPACE \n",
        " lcl_WITH_A_SPACE",
        '"lcl_IN_QUOTES"',
    ],
)
def test_what_is_no_license_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text, encoding="latin-1")
    config = load(written(tmp_path, NODE + b"license_key_file: key"), {})
    with pytest.raises(ConfigError) as caught:
        load_license_keys(config, {})
    assert caught.value.id == "license.form"
    assert not text or text not in caught.value.message


def test_a_credential_that_nobody_can_look_at_is_named(tmp_path: Path) -> None:
    config = load(written(tmp_path, NODE), {})
    with pytest.raises(ConfigError) as caught:
        load_license_keys(config, {"CREDENTIALS_DIRECTORY": f"/{'x' * 300}"})
    assert caught.value.id == "license.file"
    assert "name too long" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        b"node: lcl_SECRET_KEY",
        b"node: n\nlcl_SECRET_KEY: 1",
        b"node: n\nspool: {lcl_SECRET_KEY: 1}",
        b"node: n\nspool: {max_size: [lcl_SECRET_KEY]}",
    ],
)
def test_a_license_key_that_stands_where_none_belongs_is_not_shown(
    tmp_path: Path, text: bytes
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    assert "'lcl_…'" in caught.value.message
    assert "SECRET" not in caught.value.message + caught.value.hint


def test_the_systemd_credential_is_found_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "license_key").write_text("lcl_CREDENTIAL")
    config = load(written(tmp_path, NODE), {})
    found = load_license_keys(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.to_send("n") == "lcl_CREDENTIAL"
    config = load(written(tmp_path, NODE + b"license_key_file: gone"), {})
    with pytest.raises(ConfigError) as caught:
        load_license_keys(config, {})
    assert caught.value.id == "license.file"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_configuration_or_refused(data: bytes) -> None:
    with suppress(ConfigError):
        settings = dict(read_settings(data, "bridge.yaml", SECTIONS.__contains__))
        parse(settings, Path("/x/bridge.yaml"))


@given(
    st.sampled_from(sorted(KEYS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_any_value_of_any_key_is_taken_or_refused(key: str, value: object) -> None:
    with suppress(ConfigError):
        given_settings = {"node": Setting("n", "here"), key: Setting(value, "here")}
        parse(given_settings, Path("/x/bridge.yaml"))
