"""OTLP JSON bodies in their usual shape: the specification's fields, each of the type that it states.

What decodes here is strict JSON, holds arrays of objects where OTLP has them, no number that a double
cannot hold, and nests no deeper than these types do. Most bodies decode, in less than half of the
time that it takes to parse them without knowing what they hold and to look at each object then. What
does not decode may be as good: it is judged the long way. Of all values only the severity is looked at:
of a usual log record it is that of a warning.
"""

from collections.abc import Callable
from types import GenericAlias
from typing import Annotated, Any

import msgspec

from spool.severity import WARN

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Without its bounds any number of digits would be taken, also more than a double has room for."""
Int64 = str | Whole
"""A string by the specification; senders in JavaScript write numbers."""
Double = str | float
"""A string where it is no number: ``"NaN"``, ``"Infinity"``."""


SHAPELESS = (msgspec.MsgspecError, ValueError)
"""What a decoder raises; the second one where a text is no UTF-8."""


class _Shape(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """An object of known fields; it never takes part in a cycle."""


class _Plain(_Shape):
    string_value: str | None = None
    int_value: Int64 | None = None
    double_value: Double | None = None
    bool_value: bool | None = None
    bytes_value: str | None = None


class _PlainPair(_Shape):
    key: str = ""
    value: _Plain | None = None


class _PlainArray(_Shape):
    values: list[_Plain] | None = None


class _PlainMap(_Shape):
    values: list[_PlainPair] | None = None


class _Inner(_Plain):
    array_value: _PlainArray | None = None
    kvlist_value: _PlainMap | None = None


class _InnerPair(_Shape):
    key: str = ""
    value: _Inner | None = None


class _Array(_Shape):
    values: list[_Inner] | None = None


class _Map(_Shape):
    values: list[_InnerPair] | None = None


class _Value(_Plain):
    """Two levels of arrays and maps; what nests deeper goes the long way."""

    array_value: _Array | None = None
    kvlist_value: _Map | None = None


class _Pair(_Shape):
    key: str = ""
    value: _Value | None = None


_Attributes = list[_Pair] | None


class _Resource(_Shape):
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0


class _Scope(_Shape):
    name: str = ""
    version: str = ""
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0


class Log(_Shape, kw_only=True):
    """A log record."""

    time_unix_nano: Int64 | None = None
    observed_time_unix_nano: Int64 | None = None
    severity_number: Annotated[int, msgspec.Meta(ge=WARN, le=2**63 - 1)]
    """Must be there: what is below a warning, or may be, is judged the long way."""
    severity_text: str | None = None
    body: _Value | None = None
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0
    flags: Whole = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""


class _Event(_Shape):
    time_unix_nano: Int64 | None = None
    name: str = ""
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0


class _Link(_Shape):
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0
    flags: Whole = 0


class _Status(_Shape):
    message: str = ""
    code: Whole = 0


class Span(_Shape):
    """A span of a trace."""

    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    parent_span_id: str = ""
    flags: Whole = 0
    name: str = ""
    kind: Whole = 0
    start_time_unix_nano: Int64 | None = None
    end_time_unix_nano: Int64 | None = None
    attributes: _Attributes = None
    dropped_attributes_count: Whole = 0
    events: list[_Event] | None = None
    dropped_events_count: Whole = 0
    links: list[_Link] | None = None
    dropped_links_count: Whole = 0
    status: _Status | None = None


class _Exemplar(_Shape):
    filtered_attributes: _Attributes = None
    time_unix_nano: Int64 | None = None
    as_double: Double | None = None
    as_int: Int64 | None = None
    span_id: str = ""
    trace_id: str = ""


class _Point(_Shape):
    attributes: _Attributes = None
    start_time_unix_nano: Int64 | None = None
    time_unix_nano: Int64 | None = None


class _NumberPoint(_Point):
    as_double: Double | None = None
    as_int: Int64 | None = None
    exemplars: list[_Exemplar] | None = None
    flags: Whole = 0


class _HistogramPoint(_Point):
    count: Int64 | None = None
    sum: Double | None = None
    bucket_counts: list[Int64] | None = None
    explicit_bounds: list[Double] | None = None
    exemplars: list[_Exemplar] | None = None
    flags: Whole = 0
    min: Double | None = None
    max: Double | None = None


class _Gauge(_Shape):
    data_points: list[_NumberPoint] | None = None


class _Sum(_Shape):
    data_points: list[_NumberPoint] | None = None
    aggregation_temporality: Whole = 0
    is_monotonic: bool = False


class _Histogram(_Shape):
    data_points: list[_HistogramPoint] | None = None
    aggregation_temporality: Whole = 0


class Metric(_Shape):
    """A metric. Summaries and exponential histograms are rare enough for the long way."""

    name: str = ""
    description: str = ""
    unit: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Histogram | None = None


class Shapes:
    """The usual bodies of one signal: ``names`` are its nested arrays, ``record`` is what they hold."""

    __slots__ = ("_decode", "decode_records")

    def __init__(self, names: tuple[str, str, str], record: type[Log | Metric | Span]) -> None:
        resources, scopes, records = names
        in_scope = _holding(records, record, ("scope", _Scope | None, None))
        in_resource = _holding(scopes, in_scope, ("resource", _Resource | None, None))
        self._decode = msgspec.json.Decoder(_holding(resources, in_resource)).decode
        self.decode_records: Callable[[bytes], object] = msgspec.json.Decoder(
            GenericAlias(list, (record,))
        ).decode
        """Takes an array of records, usual ones; else it raises one of :data:`SHAPELESS`."""

    def is_usual(self, data: bytes) -> bool:
        """Whether a whole body is; it has one resource at least."""
        try:
            found: Any = self._decode(data)
        except SHAPELESS:
            return False
        return bool(found.below)


def _holding(
    name: str, kind: type[msgspec.Struct], about: tuple[str, Any, Any] | None = None
) -> type[msgspec.Struct]:
    """An object with an array ``name`` of such objects, called ``below``, and what it says of them."""
    below = msgspec.field(default=None, name=name)
    fields: list[tuple[str, Any, Any]] = [("below", GenericAlias(list, (kind,)) | None, below)]
    if about is not None:
        fields += [about, ("schema_url", str, "")]
    return msgspec.defstruct("_Holding", fields, bases=(_Shape,))
