"""Whose records are taken: one node, one license.

A presented key is compared with the configured ones, in constant time. Where none is configured the
first well-formed key is pinned by a keyed hash, and others are refused, until somebody has the pin
forgotten. A hosted data plane presents a credential instead, with its telemetry. Nothing of the kind
is ever stored.
"""

import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from bridge.intake.refusals import RefusalError
from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.durable import Disk, explained, make_folders, replace_file
from spool.errors import SpoolError
from spool.safefile import read_whole
from spool.secrets import NO_SECRETS, SECRET_MIN, SecretGuard

KEY_MAX = 4096
"""Characters of a license key."""
_FILE_MAX = 1024


_Accepts = Callable[[str], bool]


def _pin_path(spool: Path) -> Path:
    return spool / "license" / "pinned"


def pinned_at(spool: Path) -> int | None:
    """When the license key was pinned, ms since 1970 UTC; None if none is. Raises :class:`OSError`."""
    try:
        return os.lstat(_pin_path(spool)).st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None


def forget_pin(disk: Disk, spool: Path) -> None:
    """Have the next key seen pinned, by a running daemon too. Raises :class:`OSError`."""
    path = _pin_path(spool)
    disk.unlink(path)
    disk.sync_dir(path.parent)


class Pin:
    """The one license key that is taken where none is configured, as a keyed hash in a file.

    The file is the truth at every request: it may be forgotten by another process.
    """

    def __init__(self, disk: Disk, spool: Path, secret: bytes) -> None:
        """``secret`` keys the hash: without it the file says nothing of the license key.

        Raises :class:`OSError`, or :class:`VerificationError` where the file is damaged.
        """
        self._disk = disk
        self._spool = spool
        self._path = _pin_path(spool)
        self._secret = secret
        self._stamp: tuple[int, int] | None = None
        self._mark: str | None = None
        self._look()

    def accepts(self, presented: str) -> bool:
        """Whether it is the pinned key; the first one is pinned. Raises :class:`SpoolError`."""
        mark = self._mark_of(presented)
        with _told():
            self._look()
            if self._mark is None:
                make_folders(self._disk, self._spool, self._path.parent)
                replace_file(self._disk, self._path, orjson.dumps({"v": 1, "hmac_sha256": mark}))
                self._look()
        return self._mark is not None and hmac.compare_digest(mark, self._mark)

    def would_accept(self, presented: str) -> bool:
        """What :meth:`accepts` would say now; nothing is pinned. Raises :class:`SpoolError`."""
        with _told():
            self._look()
        return self._mark is None or hmac.compare_digest(self._mark_of(presented), self._mark)

    def _mark_of(self, presented: str) -> str:
        return hmac.digest(self._secret, presented.encode(), "sha256").hex()

    def _look(self) -> None:
        """Read the file if it is another one than it was."""
        try:
            found = os.lstat(self._path)
            stamp = (found.st_ino, found.st_mtime_ns)
            if stamp != self._stamp:
                self._mark = self._read()
                self._stamp = stamp
        except (FileNotFoundError, NotADirectoryError):
            self._stamp = self._mark = None

    def _read(self) -> str:
        data = read_whole(self._path, _FILE_MAX, own=True)
        fields = Fields(loads(data, limit=_FILE_MAX), "pinned license")
        fields.integer("v", 1, 1)
        mark = fields.text("hmac_sha256", r"[0-9a-f]{64}")
        fields.done()
        return mark


@contextmanager
def _told() -> Iterator[None]:
    """What fails with the pin, as the intake's errors say it."""
    try:
        yield
    except OSError as error:
        raise explained(error, "pin the license key") from error
    except VerificationError as error:
        raise SpoolError(
            "license.pin",
            f"The pinned license key cannot be read: {error.message}",
            "Run `bridge license accept`, and send again.",
        ) from error


class Gate:
    """Judges the license keys of each request.

    ``accepts`` tells whether a key is the configured one of the node. Where none is configured it is
    a :class:`Pin`. ``open_otlp`` says whether OTLP without a key is taken; ``data_plane`` is the
    credential of a hosted data plane, None where there is none.
    """

    def __init__(
        self,
        accepts: _Accepts | Pin,
        *,
        open_otlp: bool,
        data_plane: str | None = None,
    ) -> None:
        self._configured = not isinstance(accepts, Pin)
        self._accepts: _Accepts = accepts.accepts if isinstance(accepts, Pin) else accepts
        self._would_accept: _Accepts = accepts.would_accept if isinstance(accepts, Pin) else accepts
        self._open_otlp = open_otlp
        self._data_plane = None if data_plane is None else data_plane.encode()
        self._seen: list[str] = []
        self.seen = NO_SECRETS
        """Knows the keys that were accepted where none is configured, each from its first request."""

    def check(self, presented: Sequence[object], *, otlp: bool, vouched: bool = False) -> None:
        """Return if a request is taken; else :class:`RefusalError` 403.

        ``presented`` are the license keys in it, of body and headers, each of which must be right;
        ``vouched`` says that a data plane's credential was. Raises :class:`SpoolError` where the
        first key cannot be pinned.
        """
        found = presented and [key for key in presented if key is not None]
        if not found:
            if otlp and (self._open_otlp or vouched):
                return
            raise RefusalError(
                403,
                "license.missing",
                "The request carries no license key.",
                "Send it as LangSmith does, or in X-Langchain-License-Key.",
            )
        if not self._all_good(found, self._accepts):
            raise self._refusal()
        if not self._configured and (key := str(found[0])) not in self._seen:
            self._seen.append(key)
            self.seen = SecretGuard(self._seen)

    def check_head(self, presented: Sequence[str], *, otlp: bool, vouched: bool = False) -> None:
        """Refuse, as :meth:`check` would, what no body makes right; ``presented`` are of headers.

        Nothing is pinned: what the body holds has a say in that.
        """
        if not self._all_good(presented, self._would_accept):
            raise self._refusal()
        if otlp and not presented:
            self.check((), otlp=True, vouched=vouched)

    def _all_good(self, found: Sequence[object], good: _Accepts) -> bool:
        # Where none is configured, one request must not have its key pinned by another that is wrong.
        agree = self._configured or all(key == found[0] for key in found)
        return agree and all(_formed(key) and good(str(key)) for key in found)

    def _refusal(self) -> RefusalError:
        if self._configured:
            return RefusalError(
                403,
                "license.wrong",
                "The license key is not the one of this node.",
                "Compare it with the file that license_key_file names.",
            )
        return RefusalError(
            403,
            "license.changed",
            "The license key is another one than the first that this node saw.",
            "If it is the right one: `bridge license accept`, or configure it as license_key_file.",
        )

    def check_data_plane(self, values: Sequence[str]) -> bool:
        """Whether there are ``values`` of ``X-Data-Plane-Auth``, all right; else 403."""
        if not values:
            return False
        if self._data_plane is None:
            raise RefusalError(
                403,
                "license.data_plane",
                "A request with X-Data-Plane-Auth cannot be sent later: the credential is not stored.",
                "Send X-Langchain-License-Key instead, or set data_plane_auth_file for this bridge.",
            )
        given = [value.encode("utf-8", "surrogatepass") for value in values]
        if not all(hmac.compare_digest(value, self._data_plane or b"") for value in given):
            raise RefusalError(
                403,
                "license.data_plane_wrong",
                "X-Data-Plane-Auth is not the credential that this node sends with.",
                "Compare it with the file that data_plane_auth_file names.",
            )
        return True


def _formed(key: object) -> bool:
    """Whether it may be a license key at all."""
    return (
        isinstance(key, str)
        and SECRET_MIN <= len(key) <= KEY_MAX
        and key.isascii()
        and key.isprintable()
    )


class RequestGuard(SecretGuard):
    """Knows the configured keys, and the one that requests were seen to carry where none is."""

    __slots__ = ("_gate", "_known")

    def __init__(self, known: SecretGuard, gate: Gate) -> None:
        super().__init__()
        self._known = known
        self._gate = gate

    def found_in(self, data: bytes) -> bool:
        """See :class:`SecretGuard`."""
        return self._known.found_in(data) or self._gate.seen.found_in(data)
