"""Whose records are taken: one node, one license.

A presented key is compared with the configured ones, in constant time. Where none is configured the
first well-formed key is pinned by a keyed hash, and others are refused. No key is ever stored.
"""

import hmac
from collections.abc import Callable
from pathlib import Path

import orjson

from bridge.intake.refusals import RefusalError
from keys.strictjson import Fields, loads
from spool.durable import Disk, explained, make_folders, replace_file
from spool.safefile import read_whole
from spool.secrets import NO_SECRETS, SECRET_MIN, SecretGuard

KEY_MAX = 4096
"""Characters of a license key."""
_FILE_MAX = 1024


class Pin:
    """The one license key that is taken where none is configured, as a keyed hash in a file."""

    def __init__(self, disk: Disk, spool: Path, secret: bytes) -> None:
        """``secret`` keys the hash: without it the file says nothing of the license key."""
        self._disk = disk
        self._spool = spool
        self._path = spool / "license" / "pinned"
        self._secret = secret
        self._pinned = self._read()

    def accepts(self, presented: str) -> bool:
        """Whether it is the pinned key; the first one is pinned. Raises :class:`SpoolError`."""
        mark = hmac.digest(self._secret, presented.encode(), "sha256").hex()
        if self._pinned is None:
            try:
                make_folders(self._disk, self._spool, self._path.parent)
                replace_file(self._disk, self._path, orjson.dumps({"v": 1, "hmac_sha256": mark}))
            except OSError as error:
                raise explained(error, "pin the license key") from error
            self._pinned = mark
        return hmac.compare_digest(mark, self._pinned)

    def _read(self) -> str | None:
        try:
            data = read_whole(self._path, _FILE_MAX, own=True)
        except FileNotFoundError:
            return None
        fields = Fields(loads(data, limit=_FILE_MAX), "pinned license")
        fields.integer("v", 1, 1)
        mark = fields.text("hmac_sha256", r"[0-9a-f]{64}")
        fields.done()
        return mark


class Gate:
    """Judges the license key of each request.

    ``accepts`` tells whether a key is the node's; ``configured`` whether those were configured;
    ``open_otlp`` whether OTLP without a key is taken.
    """

    def __init__(
        self, accepts: Callable[[str], bool], *, configured: bool, open_otlp: bool
    ) -> None:
        self._accepts = accepts
        self._configured = configured
        self._open_otlp = open_otlp
        self.seen = NO_SECRETS
        """Knows the key that was accepted where none is configured, from its first request on."""

    def check(self, presented: object, *, otlp: bool) -> None:
        """Return if a request with this key is taken; else :class:`RefusalError` 403.

        Raises :class:`SpoolError` where the first key cannot be pinned.
        """
        if presented is None:
            if otlp and self._open_otlp:
                return
            raise RefusalError(
                403,
                "license.missing",
                "The request carries no license key.",
                "Send it as LangSmith does, or in X-Langchain-License-Key.",
            )
        formed = (
            isinstance(presented, str)
            and SECRET_MIN <= len(presented) <= KEY_MAX
            and presented.isascii()
            and presented.isprintable()
        )
        if formed and self._accepts(str(presented)):
            if not self._configured and self.seen is NO_SECRETS:
                self.seen = SecretGuard([str(presented)])
            return
        if self._configured:
            raise RefusalError(
                403,
                "license.wrong",
                "The license key is not the one of this node.",
                "Compare it with the file that license_key_file names.",
            )
        raise RefusalError(
            403,
            "license.changed",
            "The license key is another one than the first that this node saw.",
            "Configure the right key as license_key_file; it counts instead of the first one.",
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
