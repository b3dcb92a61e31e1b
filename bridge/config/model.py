"""The configuration as one frozen object; every value in it was judged once, when it was loaded.

Sizes in bytes, durations in milliseconds, paths absolute. The names are those of ``bridge.yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """Where node.pem, node.pub.pem and trust.json lie."""

    path: Path


@dataclass(frozen=True, slots=True)
class Beacon:
    """The vendor's service."""

    url: str
    addresses: tuple[str, ...]
    ca_file: Path | None
    proxy: str | None


@dataclass(frozen=True, slots=True)
class Egress:
    """How data leaves. ``mode`` is online or offline; ``max_request`` bounds records a request.

    ``rate`` in bytes a second; ``windows`` are the hours (UTC) in which something may be sent.
    """

    mode: str
    max_request: int
    deadline: int
    compression: str
    rate: int | None
    windows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of the intake."""

    cert: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True)
class Intake:
    """Where producers send. ``require_license`` None: no on loopback, yes elsewhere."""

    listen: tuple[str, int]
    require_license: bool | None
    tls: Tls


@dataclass(frozen=True, slots=True)
class Admin:
    """Where operators look."""

    listen: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Seal:
    """When a file is sealed: at this size of records, at this age (None: automatic)."""

    size: int
    age: int | None


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what was delivered stays."""

    billing: int
    other: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things stay."""

    keep: Keep
    audit: int


@dataclass(frozen=True, slots=True)
class Spool:
    """The disk."""

    path: Path
    max_size: int
    min_free: int
    ballast: int
    allow_network_fs: bool
    seal: Seal
    retention: Retention


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The operator's own switches, in the operator's own words."""

    logs: bool
    metrics: bool
    traces: bool


@dataclass(frozen=True, slots=True)
class Switches:
    """``config:`` of the vendor's own configuration file."""

    telemetry: Telemetry


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The daily usage snapshots."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class License:
    """How license tokens are judged."""

    jwks_file: Path | None
    issuer: str | None
    audience: str | None
    leeway: int
    grace: int
    max_life: int


ONE_WAY = "none"
"""What ``transfer.receipts`` says where nothing comes back."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How bundles come and go."""

    receipts: str
    overdue: int
    copies: int
    inbox: Path | None
    outbox: Path | None
    outbox_for: str | None
    every: int
    after: int
    repeat: int
    return_text: int


@dataclass(frozen=True, slots=True)
class Log:
    """The form of log lines."""

    format: str


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; ``source`` is the file that it came from."""

    source: Path
    node: str
    keys: KeyFolder
    license_key_file: Path | None
    data_plane_auth_file: Path | None
    licenses: Mapping[str, tuple[str, ...]]
    beacon: Beacon
    egress: Egress
    intake: Intake
    admin: Admin
    spool: Spool
    config: Switches
    snapshots: Snapshots
    license: License
    transfer: Transfer
    log: Log
