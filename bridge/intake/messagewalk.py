"""Functions that turn a parsed OTLP message into OTLP JSON's objects, one for each type of message.

They are written by this module, as source, from the descriptors of the messages: so every field is
there, also those of a newer OpenTelemetry, and none is looked up by name while a request waits. Half
the time of protobuf's own ``json_format`` goes there. The mapping is protobuf's to JSON with OTLP's
exceptions (OTLP 1.11, "JSON Protobuf Encoding"): trace and span ids in hex, enums as integers.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from spool.abandoning import checkpoint

Walk = Callable[[Message], dict[str, object]]

MANY = 4096
"""Messages in one field from which the walk can be abandoned between two; no more are usual."""
_HEX = frozenset({"trace_id", "span_id", "parent_span_id"})
"""Fields of bytes that OTLP JSON has in hex; all others are base64."""
_WIDE = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
"""What no double holds exactly is a string in JSON."""
_REAL = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def walk_of(descriptor: Descriptor) -> Walk:
    """The function for messages of this type."""
    writer = _Writer()
    name = writer.function(descriptor)
    source = "\n".join(writer.functions)
    code = compile(source, f"<{descriptor.full_name}>", "exec")
    scope: dict[str, Any] = dict(_HELPERS)
    exec(code, scope)  # noqa: S102 - our own words, and names out of OpenTelemetry's definitions
    walk: Walk = scope[name]
    return walk


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _each(walk: Walk, messages: Sequence[Message]) -> list[dict[str, object]]:
    """Many messages of one record, of which a hostile one has millions."""
    made = []
    for message in messages:
        checkpoint()
        made.append(walk(message))
    return made


def _real(value: float) -> float | str:
    """JSON has no numbers for these three; protobuf spells them so."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_HELPERS: Mapping[str, object] = {
    "base64_of": _base64, "real": _real, "copysign": math.copysign, "each_of": _each,
}  # fmt: skip
"""What the functions call, beside Python's own."""


class _Writer:
    """Writes one function for each type of message that it is asked for, and those within."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self._names: dict[str, str] = {}

    def function(self, descriptor: Descriptor) -> str:
        """The name of the function for this type."""
        known = self._names.get(descriptor.full_name)
        if known is not None:
            return known
        name = self._names[descriptor.full_name] = f"walk_{len(self._names)}"
        lines = [f"def {name}(message):", "    found = {}"]
        choices = [one for one in descriptor.oneofs if len(one.fields) > 1]
        chosen = {field.name for one in choices for field in one.fields}
        for field in descriptor.fields:
            if field.name not in chosen:
                lines += self._field(field)
        for one in choices:
            lines += self._choice(one)
        self.functions.append("\n".join([*lines, "    return found"]))
        return name

    def _field(self, field: FieldDescriptor) -> list[str]:
        value, into = f"message.{field.name}", f"found[{field.json_name!r}]"
        if field.is_repeated:
            # Numbers and words come as a list at once. Messages do not: protobuf's time grows faster
            # than their number where all are held together, and a hostile body has millions.
            each = self._made(field, "each")
            made = "value[:]" if each == "each" else f"[{each} for each in value[:]]"
            if field.message_type is not None:
                walk = self.function(field.message_type)
                made = f"{made} if len(value) < {MANY} else each_of({walk}, value)"
            return [f"    value = {value}", "    if value:", f"        {into} = {made}"]
        if field.message_type is not None:
            # A message that holds nothing is nevertheless there, or not.
            lines = [
                f"value = {self._made(field, 'value')}",
                f"if value or message.HasField({field.name!r}):",
                f"    {into} = value",
            ]
            first = _only_choice(field.message_type)
            if first is not None:  # it needs no call where it is the usual one
                made = f"{{{first.json_name!r}: {self._made(first, 'first')}}}"
                lines = [
                    f"first = value.{first.name}",
                    "if first:",
                    f"    {into} = {made}",
                    "else:",
                    *_indented(lines),
                ]
            return _indented([f"value = {value}", *lines])
        if field.has_presence:
            made = self._made(field, value)
            return [f"    if message.HasField({field.name!r}):", f"        {into} = {made}"]
        made = self._made(field, "value")
        # Minus zero is false, and yet not the default.
        minus = " or copysign(1, value) < 0" if field.cpp_type in _REAL else ""
        return [f"    value = {value}", f"    if value{minus}:", f"        {into} = {made}"]

    def _choice(self, one: OneofDescriptor) -> list[str]:
        """The one field of several that is set; what is usual, if it has a value, at once.

        That is the first of them, and the first that is a wide integer: to read one takes a third of
        what it takes to ask which is set.
        """
        lines = [f"kind = message.WhichOneof({one.name!r})"]
        for number, field in enumerate(one.fields):
            made = self._made(field, f"message.{field.name}")
            word = "elif" if number else "if"
            lines.append(f"{word} kind == {field.name!r}:")
            lines.append(f"    found[{field.json_name!r}] = {made}")
        usual = [field for field in one.fields if field.cpp_type in _WIDE][:1]
        if one.fields[0].message_type is None and one.fields[0] not in usual:
            usual.append(one.fields[0])
        for field in usual:
            lines = [
                f"value = message.{field.name}",
                "if value:",
                f"    found[{field.json_name!r}] = {self._made(field, 'value')}",
                "else:",
                *_indented(lines),
            ]
        return _indented(lines)

    def _made(self, field: FieldDescriptor, value: str) -> str:
        """The expression that makes JSON's value of ``value``."""
        if field.message_type is not None:
            return f"{self.function(field.message_type)}({value})"
        if field.cpp_type in _WIDE:
            return f"str({value})"
        if field.type == FieldDescriptor.TYPE_BYTES:
            return f"{value}.hex()" if field.name in _HEX else f"base64_of({value})"
        return f"real({value})" if field.cpp_type in _REAL else value


def _only_choice(descriptor: Descriptor) -> FieldDescriptor | None:
    """The first of several, if a message holds one of them and nothing else, and that is no message."""
    if len(descriptor.oneofs) != 1 or len(descriptor.oneofs[0].fields) != len(descriptor.fields):
        return None
    first: FieldDescriptor = descriptor.oneofs[0].fields[0]
    return first if first.message_type is None else None


def _indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]
