"""``bridge.yaml``."""

from pathlib import Path

import yaml

from bridge.config.keys import SECTIONS
from bridge.config.load import parse
from bridge.config.yamlfile import read_settings
from keys.errors import ConfigError
from tests.fuzz.harness import Harness

KEY = "lcl_0123456789abcdef"
SECRET = f"license_key: {KEY}\n".encode()


def tried(data: bytes) -> bool:
    """With a license key below it where no such key belongs, too: it must not be shown."""
    _read(data + b"\n" + SECRET)
    if not _read(data):
        return False
    found = yaml.safe_load(data)
    assert isinstance(found, dict)
    assert set(found) <= SECTIONS | {"node", "license_key_file", "licenses"}
    assert isinstance(found["node"], str)
    return True


def _read(data: bytes) -> bool:
    taken = False
    try:
        settings = dict(read_settings(data, "bridge.yaml", SECTIONS.__contains__))
        said = parse(settings, Path("/nowhere/bridge.yaml")).beacon.url
        taken = said.startswith(("https://", "http://"))
        assert taken
    except ConfigError as error:
        said = error.message + error.hint
    assert KEY not in said
    assert said.isprintable()
    return taken


def seeds() -> list[bytes]:
    """From the least that works to one with every kind of value."""
    return [
        b"node: n\n",
        b"node: prod-1\nbeacon: {url: https://b.example, addresses: [10.0.0.1]}\n",
        b"node: n\nspool:\n  path: spool\n  max_size: 5GiB\n  seal: {size: 32MiB, age: auto}\n",
        b"node: n\nspool: {retention: {keep: {billing: 400d, other: 30d}, audit: 400d}}\n",
        b"node: n\negress: {mode: offline, deadline: 60s, rate: 200/s, windows: ['22:00-04:00']}\n",
        b"node: n\nlicenses: {inside: [a, b]}\nlicense_key_file: key\nlog: {format: json}\n",
        b"node: n\nconfig: {telemetry: {logs: false, traces: true}}\nsnapshots: {enabled: false}\n",
        b"node: n\nintake: {listen: '[::1]:80', tls: {cert: a, key: b}}\n",
        b"node: n\ntransfer: {receipts: none, copies: 3, every: 24h, return_text: 80}\n",
    ]


HARNESS = Harness(
    "configuration",
    "A file has one reading as a configuration, the one that YAML gives it, or costs a sentence.",
    tried,
    seeds,
    (b"- ", b"? ", b": ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!str ", b"|\n", b"'", b'"', b"#",
     b"<<: ", b"---\n", b"\t", b"\x85", b"\xe2\x80\xa8", b"0x10", b"1_0", b"~", b"yes"),
    rounds=600,
    size_max=2048,
)  # fmt: skip
