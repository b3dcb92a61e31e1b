"""Which licenses the beacon takes, and where in a request they are."""

import re
from collections.abc import Collection, Mapping

from bridge.testbeacon.bodies import Body
from bridge.testbeacon.refusal import FORBIDDEN, UNAUTHORIZED, Refusal, malformed
from bridge.testbeacon.routes import LICENSE_HEADERS, Route
from bridge.testbeacon.tokens import license_digest

_WELL_FORMED = re.compile(r"[\x21-\x7e]{1,16384}")
"""Printable, without spaces, so that a header can carry it; offline licenses are some KB long."""


class Licenses:
    """The licenses that are taken; None for every one that is well formed."""

    def __init__(self, accepted: Collection[str] | None = None) -> None:
        self._accepted = None if accepted is None else frozenset(map(license_digest, accepted))

    def of(self, route: Route, headers: Mapping[str, str], body: Body) -> str:
        """The license that came with a request.

        Raises :class:`Refusal`: 401 if there is none, 400 if it is not well formed, 403 if it is
        not among those that are taken.
        """
        found: object = body.license
        if route.licensed_by_header:
            found = next((headers[name] for name in LICENSE_HEADERS if name in headers), None)
        if found is None or found == "":
            raise Refusal(UNAUTHORIZED, "license.missing", "The request has no license key.")
        if not isinstance(found, str) or not _WELL_FORMED.fullmatch(found):
            raise malformed("The license key is not well formed.")
        if self._accepted is not None and license_digest(found) not in self._accepted:
            raise Refusal(FORBIDDEN, "license.unknown", "The license key is not known.")
        return found
