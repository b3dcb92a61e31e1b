"""What form a body has, as ``Content-Type`` says, and which forms a path takes.

A beacon's path without a ``Content-Type`` takes the body as JSON: it takes nothing else, and what is
no JSON is refused anyhow. On OTLP's paths two forms are possible, so one has to be named.
"""

from bridge.intake.head import Head
from bridge.intake.refusals import JSON, PROTOBUF, RefusalError

_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii"})


def is_protobuf(head: Head) -> bool:
    """Whether the sender speaks protobuf, and reads answers in it."""
    return any(_kind(said) == PROTOBUF for said in head.all("content-type"))


def check_content(head: Head, *, otlp: bool) -> str:
    """:data:`JSON` or :data:`PROTOBUF`; raises :class:`RefusalError` 415 for what is not taken."""
    said = head.all("content-type")
    if not said and not otlp:
        return JSON
    if len(said) == 1:
        if said[0] == JSON:
            return JSON
        kind = _kind(said[0])
        if kind == JSON and _charset(said[0]) in _UTF8:
            return JSON
        if kind == PROTOBUF and otlp:
            return PROTOBUF
    taken = f"{JSON} in UTF-8 or {PROTOBUF}" if otlp else f"{JSON} in UTF-8"
    raise RefusalError(
        415,
        "intake.content_type",
        f"This path takes {taken}.",
        "Send it with that Content-Type, once.",
        {"Accept": f"{JSON}, {PROTOBUF}" if otlp else JSON},
    )


def _kind(said: str) -> str:
    return said.partition(";")[0].strip().lower()


def _charset(said: str) -> str:
    for parameter in said.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""
