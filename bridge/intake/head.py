"""The headers of a request that the intake looks at, gone through once."""

from collections.abc import Iterable, Mapping, Sequence

LICENSE = "x-langchain-license-key"
DATA_PLANE = "x-data-plane-auth"
VIA = "via"
_WANTED: Mapping[bytes, str] = {
    name.encode(): name
    for name in (LICENSE, DATA_PLANE, VIA, "content-type", "content-encoding", "content-length")
}
"""A plain dict, and never changed: every header of every request is looked for in it."""
_NONE: Sequence[str] = ()


class Head:
    """The values of these headers, in their order; names are lower case, as ASGI has them."""

    __slots__ = ("_found",)

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if name in _WANTED:
                known = _WANTED[name]
                if known in found:
                    found[known].append(value.decode("latin-1"))
                else:
                    found[known] = [value.decode("latin-1")]
        self._found = found

    def all(self, name: str) -> Sequence[str]:
        """Every value of a header; none if it is not there."""
        return self._found.get(name, _NONE)
