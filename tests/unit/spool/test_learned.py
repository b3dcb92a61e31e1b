"""What is learned of records is little, seldom, and forgotten in turn."""

from spool.envelopes import ENVELOPES_MAX, LEARNED_MAX, envelope_of, envelopes
from spool.layouts import (
    LAYOUTS_MAX,
    LEARN_FIRST,
    LEARN_LAST,
    NAMES_MAX,
    PAYS,
    Layouts,
)
from spool.learned import LUCK_MAX, Learned
from spool.otlp import Signal
from spool.otlpshapes import Log, Shapes
from spool.secrets import NO_SECRETS

NAMES = ("resourceLogs", "scopeLogs", "logRecords")
LINE = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13}],"schemaUrl":"s"}]}]}'

FITS, STRANGE = b'{"id":"1","a":1}', b'{"id":"1","a b":1}'
"""Transactions: one from whose layout is learned, one from whose is not."""


def _learned(most: int, pays: int = 0, first: int = 1, last: int = 1) -> Learned[bytes]:
    return Learned(
        lambda data: None if data == b"-" else data, most=most, pays=pays, first=first, last=last
    )


def test_as_many_as_may_be_known_are_learned_at_once_and_again_half_as_often_each_time() -> None:
    asked: list[int] = []
    learned: Learned[None] = Learned(
        lambda data: asked.append(int(data)), most=2, pays=0, first=4, last=16
    )
    for number in range(50):
        learned.missed(b"%d" % number)
    assert asked == [0, 1, 4, 5, 12, 13, 28, 29, 44, 45]


def test_two_threads_that_take_the_last_one_at_once_leave_no_debt() -> None:
    # It was learned from each record then, until the next time came: some thousands of them.
    asked: list[bytes] = []
    other: list[bytes] = []

    class _Shared(Learned[None]):
        """Another thread comes between a look at what is left and the taking of it."""

        @property
        def _left(self) -> int:
            left = self._really_left
            if other and left == 1:
                self.missed(other.pop())
            return left

        @_left.setter
        def _left(self, left: int) -> None:
            self._really_left = left

    learned = _Shared(asked.append, most=2, pays=0, first=64, last=64)
    learned.missed(b"1")
    other.append(b"2")
    learned.missed(b"3")
    for number in range(50):
        learned.missed(b"%d" % number)
    assert asked == [b"1", b"2", b"3"]


def test_the_oldest_gives_way_and_what_cannot_be_learned_from_leaves_what_is_known() -> None:
    learned = _learned(2)
    for data in (b"a", b"b", b"-", b"c"):
        learned.missed(data)
    assert learned.known == (b"c", b"b")


def test_what_does_not_pay_is_forgotten_and_what_pays_is_not() -> None:
    for fitted, known in ((3, ()), (4, (b"a",)), (5, (b"a",))):
        learned = _learned(1, pays=4, first=10_000, last=10_000)
        learned.missed(b"a")
        for _ in range(LUCK_MAX + 1):
            learned.fitted(fitted)
            learned.missed(b"b")
        assert learned.known == known


def test_an_envelope_is_what_stands_around_the_records_and_no_more_than_it_may_be() -> None:
    before, after = LINE.split(b'[{"severityNumber":13}]')
    assert envelope_of(NAMES, LINE) == (before, after)
    room = LEARNED_MAX - len(before) - len(after)
    longest = LINE.replace(b'"s"', b'"%b"' % (b"s" * (room + 1)))
    assert envelope_of(NAMES, longest) is not None
    assert envelope_of(NAMES, longest.replace(b"ss", b"sss", 1)) is None
    assert ENVELOPES_MAX * LEARNED_MAX < 64 * 1024


def test_a_body_of_several_scopes_or_resources_or_of_none_has_no_envelope() -> None:
    for part in (b'{"scopeLogs":[]}', b'{"scopeLogs":[{}]}', b"{}", b"", b'{"scopeLogs":null}'):
        assert envelope_of(NAMES, b'{"resourceLogs":[%b]}' % part) is None
    inner = LINE[len(b'{"resourceLogs":[') : -2]
    assert envelope_of(NAMES, b'{"resourceLogs":[%b,%b]}' % (inner, inner)) is None
    twice = LINE.replace(b'"scopeLogs":[', b'"scopeLogs":[{},')
    assert envelope_of(NAMES, twice) is None


def test_a_body_from_which_nothing_can_be_learned_is_taken_all_the_same() -> None:
    for body in (
        b'{"resourceLogs":[{"scopeLogs":null}]}',
        LINE.replace(b'"scopeLogs":[', b'"scopeLogs":[],"scopeLogs":['),
    ):
        assert envelope_of(NAMES, body) is None
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


def test_a_layout_is_learned_wherever_the_id_stands_and_takes_any_scalar_in_a_lists_place() -> None:
    layouts = Layouts()
    layouts.missed(b'{"a":[1],"id":"1"}')
    for fits in (
        b'{"a":[],"id":"2"}',
        b'{"a":"x","id":"2"}',
        b'{"a":null,"id":"2"}',
        b'{"id":"3"}',
    ):
        assert _fits(layouts, fits)
    assert not _fits(layouts, b'{"id":"2","a":[]}')


def test_of_several_records_all_that_fit_any_known_layout_are_told_from_where_one_asks() -> None:
    layouts = Layouts()
    one, two = b'{"id":"1","a":1}', b'{"b":{"c":1},"id":"1"}'
    for data in (one, two):
        layouts.missed(data)
    some = [b"?", one, two, two, one, one, b"?", one]
    assert [layouts.fitting_until(some, begin) for begin in range(9)] == [0, *[6] * 6, 8, 8]
    assert layouts.id_of(one) == layouts.id_of(two) == "1"


def test_what_was_passed_over_before_the_records_that_fit_is_no_reason_to_know_a_layout() -> None:
    layouts = Layouts()
    layouts.missed(FITS)
    for _ in range(LUCK_MAX):
        layouts.fitting_until([b"?"] * 9, 9)
        layouts.missed(STRANGE)
    assert not _fits(layouts, FITS)


def test_a_record_that_is_asked_for_its_id_counts_as_one_that_fits() -> None:
    for asked, known in ((PAYS - 1, False), (PAYS, True)):
        layouts = Layouts()
        layouts.missed(FITS)
        for _ in range(LUCK_MAX + PAYS):
            for _ in range(asked):
                layouts.id_of(FITS)
            layouts.missed(STRANGE)
        assert _fits(layouts, FITS) is known


def test_a_layout_may_have_as_many_names_as_it_may_and_an_object_in_it_half_of_them() -> None:
    def named(count: int) -> bytes:
        return b",".join(b'"n%d":1' % n for n in range(count))

    for data, learned in (
        (b'{"id":"1",%b}' % named(NAMES_MAX - 1), True),
        (b'{"id":"1",%b}' % named(NAMES_MAX), False),
        (b'{"id":"1","a":{%b}}' % named(NAMES_MAX // 2), True),
        (b'{"id":"1","a":{%b}}' % named(NAMES_MAX // 2 + 1), False),
        (b'{"id":"1","a":{"b":{%b}}}' % named(NAMES_MAX // 4), True),
        (b'{"id":"1","a":{"b":{%b}}}' % named(NAMES_MAX // 4 + 1), False),
    ):
        layouts = Layouts()
        layouts.missed(data)
        assert _fits(layouts, data) is learned


def test_a_layout_that_is_not_learned_takes_no_place() -> None:
    layouts = Layouts()
    layouts.missed(FITS)
    for _ in range(LEARN_FIRST + LAYOUTS_MAX):
        layouts.fitting_until([FITS] * PAYS, 0)
        layouts.missed(STRANGE)
    assert _fits(layouts, FITS)


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
    for number, data in enumerate(made):
        for _ in range(LEARN_LAST):
            if not _fits(layouts, data):
                layouts.missed(data)
            layouts.fitting_until(made[number - 1 : number] * PAYS, 0)
    assert [_fits(layouts, data) for data in made] == [False] + [True] * LAYOUTS_MAX


def test_layouts_that_come_in_turn_are_known_however_much_was_learned_before() -> None:
    layouts = Layouts()
    for number in range(3 * LEARN_LAST):
        layouts.missed(b'{"id":"1","n%d":1}' % number)
    made = [b'{"id":"1","m%d":1}' % number for number in range(LAYOUTS_MAX)]
    for number in range(2 * LAYOUTS_MAX * LEARN_LAST):
        data = made[number % LAYOUTS_MAX]
        if not _fits(layouts, data):
            layouts.missed(data)
    assert all(_fits(layouts, data) for data in made)


def test_layouts_that_few_records_fit_are_forgotten_and_learned_again_in_time() -> None:
    layouts = Layouts()
    made = [b'{"id":"1","n%d":1}' % number for number in range(4 * LAYOUTS_MAX)]
    for number in range(2 * LEARN_LAST):
        data = made[number % len(made)]
        if not _fits(layouts, data):
            layouts.missed(data)
    assert not any(_fits(layouts, data) for data in made)
    missed = 0
    while not _fits(layouts, made[0]):
        layouts.missed(made[0])
        missed += 1
        assert missed <= LEARN_LAST


def test_envelopes_that_few_bodies_have_are_forgotten_and_learned_again_in_time() -> None:
    signal = Signal(NAMES, Shapes(NAMES, Log))
    bodies = [LINE.replace(b'"s"', b'"s%d"' % number) for number in range(40)] * 30
    assert signal.plain_until(bodies, 0) == len(bodies)
    assert signal.plain_until([LINE] * 600, 0) == 600
    odd = LINE.replace(b'[{"scope', b'[{"unknown":1,"scope')
    assert signal.plain_until([odd], 0) == 0  # nothing knows it yet
    for _ in range(LEARN_LAST):
        assert signal.to_lines(odd, NO_SECRETS).lines == [odd]
        if signal.plain_until([odd], 0):
            break
    assert signal.plain_until([odd], 0) == 1


def test_envelopes_that_every_second_body_has_are_not_forgotten() -> None:
    known = envelopes(NAMES)
    known.missed(LINE)
    for _ in range(LUCK_MAX + 1):
        known.fitted(1)
        known.missed(b'{"resourceLogs":[]}')
    assert known.known == (envelope_of(NAMES, LINE),)
