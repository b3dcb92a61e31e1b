"""Counts what a serialized record holds, before a parser makes objects of it.

Parsed, a message of two bytes takes hundreds; so one record of a few megabytes could take half of a
gigabyte. Strings are passed over at once: a record may be large, it may not be made of too much.
"""

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from bridge.intake.messagecut import LENGTH, after, varint
from spool.abandoning import checkpoint
from spool.errors import RecordError

VALUES_MAX = 100_000
"""Messages, members of lists and unknown fields within one record: 12,000 data points with five
attributes each. What is parsed and walked of so many takes 60 MiB and half a second."""
_MORE = 0x80
"""The bit of a varint's byte that says that another follows."""
_STEP = 1024
"""Fields between two checkpoints."""
_LAST_BYTES = bytes(range(0x80, 0x100))
"""Bytes of a varint that others follow."""
_WIDTH = {FieldDescriptor.TYPE_DOUBLE: 8, FieldDescriptor.TYPE_FLOAT: 4,
          FieldDescriptor.TYPE_FIXED64: 8, FieldDescriptor.TYPE_SFIXED64: 8,
          FieldDescriptor.TYPE_FIXED32: 4, FieldDescriptor.TYPE_SFIXED32: 4}  # fmt: skip
_TEXT = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES})


def check_count(data: bytes, descriptor: Descriptor) -> None:
    """Raise :class:`RecordError` ``record.too_large`` for more than :data:`VALUES_MAX`.

    ``data`` is a serialized message of ``descriptor``. Raises
    :class:`google.protobuf.message.DecodeError` for what no parser takes either.
    """
    found = fields = 0
    waiting = [(0, len(data), descriptor)]
    while waiting:
        at, end, kind = waiting.pop()
        while at < end:
            fields += 1
            if not fields % _STEP:
                checkpoint()
                _check(found)
            # A tag and a small size, a byte each, need no function: there may be millions of them.
            tag = data[at]
            at += 1
            if tag >= _MORE:
                tag, at = varint(data, at - 1, end)
            field = kind.fields_by_number.get(tag >> 3)
            if tag & 7 != LENGTH or field is None:
                found += field is None or field.is_repeated
                at = after(data, tag, at, end)
                continue
            if at < end and (size := data[at]) < _MORE:
                begin = at + 1
            else:
                size, begin = varint(data, at, end)
            at = begin + size
            if at > end:
                raise DecodeError
            if field.message_type is not None:
                found += 1
                waiting.append((begin, at, field.message_type))
            elif field.type not in _TEXT:
                found += _numbers(data[begin:at], field)
            else:
                found += field.is_repeated
    _check(found)


def _check(found: int) -> None:
    if found > VALUES_MAX:
        raise RecordError(
            "record.too_large",
            f"A record holds more than {VALUES_MAX} values.",
            "Send it in several records.",
        )


def _numbers(packed: bytes, field: FieldDescriptor) -> int:
    width = _WIDTH.get(field.type)
    return len(packed.translate(None, _LAST_BYTES)) if width is None else len(packed) // width
