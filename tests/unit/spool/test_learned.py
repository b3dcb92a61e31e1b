"""What is learned of records is little, seldom, and forgotten in turn."""

from spool.envelopes import ENVELOPES_MAX, LEARNED_MAX, Envelope, envelope_of
from spool.layouts import LAYOUTS_MAX, LEARN_EVERY, NAMES_MAX, Layouts
from spool.learned import Learned
from spool.otlp import Signal
from spool.secrets import NO_SECRETS

NAMES = ("resourceLogs", "scopeLogs", "logRecords")
LINE = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13}],"schemaUrl":"s"}]}]}'


def test_one_in_so_many_that_fit_nothing_is_learned_from_the_first_at_once() -> None:
    learned: Learned[bytes] = Learned(2, 3)
    for number in range(9):
        learned.missed(lambda data: data, b"%d" % number)
    assert learned.known == (b"6", b"3")


def test_what_cannot_be_learned_from_leaves_what_is_known() -> None:
    learned: Learned[bytes] = Learned(2, 1)
    learned.missed(lambda data: data, b"a")
    learned.missed(lambda _: None, b"b")
    assert learned.known == (b"a",)


def test_an_envelope_is_what_stands_around_the_records_and_no_more_than_it_may_be() -> None:
    before, after = LINE.split(b'[{"severityNumber":13}]')
    assert envelope_of(LINE, NAMES) == Envelope(before, after, len(before) + len(after))
    long = LINE.replace(b'"s"', b'"%b"' % (b"s" * LEARNED_MAX))
    assert envelope_of(long, NAMES) is None
    assert ENVELOPES_MAX * LEARNED_MAX < 64 * 1024


def test_a_body_of_several_scopes_or_resources_or_of_none_has_no_envelope() -> None:
    for part in (b'{"scopeLogs":[]}', b'{"scopeLogs":[{}]}', b"{}", b"", b'{"scopeLogs":null}'):
        assert envelope_of(b'{"resourceLogs":[%b]}' % part, NAMES) is None
    inner = LINE[len(b'{"resourceLogs":[') : -2]
    assert envelope_of(b'{"resourceLogs":[%b,%b]}' % (inner, inner), NAMES) is None
    twice = LINE.replace(b'"scopeLogs":[', b'"scopeLogs":[{},')
    assert envelope_of(twice, NAMES) is None


def test_a_body_from_which_nothing_can_be_learned_is_taken_all_the_same() -> None:
    for body in (
        b'{"resourceLogs":[{"scopeLogs":null}]}',
        LINE.replace(b'"scopeLogs":[', b'"scopeLogs":[],"scopeLogs":['),
    ):
        assert envelope_of(body, NAMES) is None
        signal = Signal(NAMES, None)
        assert signal.to_lines(body, NO_SECRETS).lines == [body]


def _fits(layouts: Layouts, data: bytes) -> bool:
    return layouts.fitting_until([data], 0) == 1


def test_a_layout_fits_its_names_in_their_order_and_takes_what_is_left_out() -> None:
    layouts = Layouts()
    layouts.missed(b'{"id":"1","a":1,"b":{"c":[1,"x"],"d":null},"e":true}')
    for fits in (
        b'{"id":"1","a":1,"b":{"c":[1,"x"],"d":null},"e":true}',
        b'{"id":"2","a":"x","b":null,"e":-0.5}',
        b'{"id":"2","b":{"c":[]}}',
        b'{"id":"\xc3\xa4\\n"}',
    ):
        assert _fits(layouts, fits)
        assert layouts.id_of(fits)
    for other in (
        b'{"id":""}',
        b'{"a":1}',
        b'{"a":1,"id":"1"}',
        b'{"id":"1","id":"2"}',
        b'{"id":"1","\\u0069d":"1"}',
        b'{"id":"1","b":{"c":1,"c":2}}',
        b'{"id":"1","b":{"d":1,"c":2}}',
        b'{"id" :"1"}',
        b'{"id":"1"} ',
        b'{"id":"1","a":1.50}',
        b'{"id":"1","a":9223372036854775808}',
        b'{"id":"1","f":1}',
        b'{"id":"1","license":"k"}',
        b'{"id":"1","a":[[1]]}',
        b'{"id":"1","a":{}}',
        b'{"id":"\\ud800"}',
        b'{"id":"\xed\xa0\x80"}',
        b'{"id":"1","a":NaN}',
        b"",
    ):
        assert not _fits(layouts, other)
        assert layouts.id_of(other) is None


def test_a_layout_that_is_too_large_or_strange_is_not_learned() -> None:
    for strange in (
        b'{"id":"1",%b}' % b",".join(b'"n%d":1' % n for n in range(NAMES_MAX)),
        b'{"id":"1","a":{"b":{"c":{}}}}',
        b'{"id":"1","a b":1}',
        b'{"id":"1","\xc3\xa4":1}',
        b'{"id":"1","a":{"":1}}',
    ):
        layouts = Layouts()
        layouts.missed(strange)
        assert not _fits(layouts, b'{"id":"1"}')


def test_only_the_last_layouts_are_known() -> None:
    layouts = Layouts()
    made = [b'{"id":"1","n%d":1}' % number for number in range(LAYOUTS_MAX + 1)]
    for data in made:
        for _ in range(LEARN_EVERY):
            layouts.missed(data)
    assert [_fits(layouts, data) for data in made] == [False] + [True] * LAYOUTS_MAX
