"""The service file is one that systemd takes, and as closed as it says."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "airgap-bridge.service"
PROGRAM = "/opt/airgap-bridge/bin/airgap-bridge"


def _unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def test_the_service_is_watched_and_started_anew() -> None:
    service = _unit()["Service"]
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert service["WatchdogSec"] == "60s"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "78"
    assert int(service["TimeoutStopSec"].removesuffix("s")) > 10


def test_the_service_is_closed() -> None:
    service = _unit()["Service"]
    for key in (
        "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelModules",
        "ProtectKernelTunables", "ProtectControlGroups", "ProtectClock", "LockPersonality",
        "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    ):  # fmt: skip
        assert service[key] == "yes", key
    assert service["User"] not in ("", "root")
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "/var/lib/airgap-bridge"
    assert service["CapabilityBoundingSet"] == ""
    assert service["UMask"] == "0077"
    assert set(service["RestrictAddressFamilies"].split()) == {
        "AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK",
    }  # fmt: skip


def test_the_license_key_comes_as_a_credential_and_by_no_other_way() -> None:
    service = _unit()["Service"]
    assert service["LoadCredential"] == "license_key:/etc/bridge/license_key"
    assert "Environment" not in service
    assert service["ExecStart"] == f"{PROGRAM} --config /etc/bridge/bridge.yaml run"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    # The program is not installed where the tests run, which is all that may be wrong.
    copy.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    told = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
