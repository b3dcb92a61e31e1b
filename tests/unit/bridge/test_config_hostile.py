"""A configuration that was meant badly, or written by mistake, costs a sentence and no secret."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import find_file, load
from bridge.config.licensekeys import load_license_keys
from bridge.config.units import host_port
from bridge.config.yamlfile import FILE_MAX, value_of
from keys.errors import ConfigError

NODE = b"node: n\n"
SECRET = "lcl_0123456789abcdef"


def written(folder: Path, data: bytes) -> Path:
    path = folder / "bridge.yaml"
    path.write_bytes(data)
    return path


def error_of(folder: Path, data: bytes, environment: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, data), environment or {})
    return caught.value


@pytest.mark.parametrize("mark", [b"[", b"{", b"- ", b"? "])
def test_a_file_of_nothing_but_brackets_is_refused_at_its_depth(
    tmp_path: Path, mark: bytes
) -> None:
    data = b"node: " * (mark in b"[{") + mark * ((FILE_MAX - 6) // len(mark))
    # PyYAML alone would need minutes, longer than a test may take.
    assert error_of(tmp_path, data).id == "config.depth"


@pytest.mark.parametrize(
    "value",
    [
        b"!!bool maybe",
        b"!!int ''",
        b"!!timestamp x",
        b"!!null x",
        b"!!python/object:os.system x",
        b"!own x",
        b"2026-99-99",
        b"=",
        b"0b_",
    ],
)
def test_scalars_that_make_the_parser_itself_fail_are_refused_with_their_line(
    tmp_path: Path, value: bytes
) -> None:
    found = error_of(tmp_path, NODE + b"log: {format: " + value + b"}")
    assert found.id in {"config.yaml", "config.value"}
    assert "bridge.yaml line 2" in found.message
    with suppress(ConfigError):
        value_of(value.decode(), "environment BRIDGE_LOG__FORMAT")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"licenses: {n: [a], n: [b]}", "config.repeated"),
        (b"egress.mode: offline", "config.dotted"),
        (b"intake: {tls.cert: x}", "config.dotted"),
        (b"? [a]\n: b", "config.yaml"),
        (b"<<: {admin: x}", "config.unknown_key"),
        (b"licenses: {<<: {n: [a]}}", "config.value"),
        (b"log: {format: auto}\n---\nlog: {format: json}", "config.yaml"),
        (b"log: {format: \x07}", "config.yaml"),
    ],
)
def test_a_setting_can_be_written_in_one_way_and_once(
    tmp_path: Path, data: bytes, error: str
) -> None:
    found = error_of(tmp_path, NODE + data)
    assert found.id == error
    assert "bridge.yaml line " in found.message


def test_a_file_that_is_no_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 3" in error_of(tmp_path, NODE + b"log:\n  format: \xff").message


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(written(tmp_path, b"\xef\xbb\xbf" + NODE), {}).node == "n"


@pytest.mark.parametrize(
    "url",
    [
        "https://b.example?",
        "https://b.example#",
        "https://@b.example",
        "https://b.example\\@c.example",
        "https://b .example",
        "https://b.example:",
        "https://b.example:65536",
        "http://127.1",
        "http://[::2]",
        "http://localhost.",
        "ftp://127.0.0.1",
        "https://",
    ],
)
def test_a_beacon_that_is_more_or_less_than_scheme_host_and_port_is_refused(
    tmp_path: Path, url: str
) -> None:
    found = error_of(tmp_path, NODE + f"beacon: {{url: '{url}'}}".encode())
    assert found.id == "config.value"
    assert "`beacon.url` must be https://" in found.message


@pytest.mark.parametrize("url", ["http://[::1]:80", "http://127.9.9.9", "https://b.example:8443/"])
def test_a_beacon_on_loopback_or_encrypted_is_taken(tmp_path: Path, url: str) -> None:
    config = load(written(tmp_path, NODE + f"beacon: {{url: '{url}'}}".encode()), {})
    assert config.beacon.url == url.removesuffix("/")


@pytest.mark.parametrize(
    "text", ["::1:8480", "[127.0.0.1]:80", "[::1%lo]:80", "127.0.0.1:080", ":80", "\u0661.0.0.1:1"]
)
def test_an_address_and_a_port_have_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        host_port(text)


@pytest.mark.parametrize(
    "data",
    [
        f"licenses: {{n: {SECRET}}}",
        f"licenses: {{n: [[{SECRET}]]}}",
        f"licenses: {{{SECRET}: [file]}}",
        f"license_key_file: [{SECRET}]",
        f"license_key: {SECRET}",
        f"beacon: {{proxy: 'http://user:{SECRET}@proxy/path'}}",
        f"beacon: {{url: 'https://user:{SECRET}@b.example'}}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, data: str) -> None:
    found = error_of(tmp_path, NODE + data.encode())
    assert SECRET not in found.message + found.hint
    assert "line 2" in found.message


def test_a_license_key_where_its_file_belongs_is_not_shown(tmp_path: Path) -> None:
    config = load(written(tmp_path, NODE + f"license_key_file: {SECRET}".encode()), {})
    with pytest.raises(ConfigError) as caught:
        load_license_keys(config, {})
    assert caught.value.id == "license.file"
    assert SECRET not in caught.value.message + caught.value.hint


def test_a_license_key_of_the_environment_is_the_last_choice_and_marked(tmp_path: Path) -> None:
    variable = {"BRIDGE_LICENSE_KEY": SECRET}
    keys = load_license_keys(load(written(tmp_path, NODE), variable), variable)
    assert (keys.to_send("n"), keys.from_environment) == (SECRET, True)
    (tmp_path / "license_key").write_text("lcl_of_systemd")
    keys = load_license_keys(
        load(tmp_path / "bridge.yaml", {}), variable | {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert (keys.to_send("n"), keys.from_environment) == ("lcl_of_systemd", False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_here_that_another_user_made_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = written(tmp_path, NODE)
    here = tmp_path / "here"
    here.mkdir()
    (here / "bridge.yaml").symlink_to(own)
    monkeypatch.chdir(here)
    assert find_file(None, {}) == here / "bridge.yaml"
    os.chown(here / "bridge.yaml", 4711, 4711, follow_symlinks=False)
    with pytest.raises(ConfigError) as caught:
        find_file(None, {})
    assert caught.value.id == "config.unsafe"


@given(st.text(st.sampled_from("[]{},:-?!&*<=%@`|>\"'#~ \n\tab01.\x85\u2028\ud800"), max_size=40))
def test_any_value_of_a_variable_is_taken_or_refused(text: str) -> None:
    with suppress(ConfigError):
        value_of(text, "environment BRIDGE_NODE")
