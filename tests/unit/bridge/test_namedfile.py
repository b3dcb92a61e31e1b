"""What the configuration names is read without waiting for anybody, whatever lies there."""

import os
import ssl
from pathlib import Path

import pytest
import trustme

from bridge.config.licensekeys import load_license_keys
from bridge.config.load import parse
from bridge.config.namedfile import NOT_REGULAR, read_named
from bridge.config.yamlfile import Setting
from bridge.egress.client import trusting
from bridge.operate.certificate import ends_at
from bridge.operate.doctor import check_authorities, check_certificate
from keys.errors import ConfigError


@pytest.fixture(params=["pipe", "folder"])
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    return path


def test_a_file_is_read_up_to_a_limit_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("key")
    assert [read_named(tmp_path / name, 4) for name in ("key", "link")] == [b"secr", b"secr"]


def test_what_is_no_regular_file_is_refused_at_once(odd: Path) -> None:
    with pytest.raises(OSError, match=NOT_REGULAR):
        read_named(odd, 4)


def test_no_key_and_no_certificate_is_waited_for(odd: Path, tmp_path: Path) -> None:
    settings = {"node": Setting("n", "a"), "license_key_file": Setting(str(odd), "a")}
    with pytest.raises(ConfigError) as caught:
        load_license_keys(parse(settings, tmp_path / "bridge.yaml"), {})
    assert (caught.value.id, NOT_REGULAR in caught.value.message) == ("license.file", True)
    with pytest.raises(OSError, match=NOT_REGULAR):
        trusting(odd)
    with pytest.raises(ConfigError):
        check_authorities(odd)
    good = tmp_path / "good.pem"
    trustme.CA().cert_pem.write_to_path(str(good))
    for pair in ((odd, good), (good, odd)):
        with pytest.raises(ConfigError) as caught:
            check_certificate(*pair, 0)
        assert caught.value.id == "tls.certificate"
    assert ends_at(odd) is None
    assert isinstance(trusting(None), ssl.SSLContext)
