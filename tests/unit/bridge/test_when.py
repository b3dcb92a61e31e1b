"""Moments as people write them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.when import moment_ms

NOW = 1_795_424_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-23T09:00:00.250Z", 1_795_424_400_250),
        ("2026-11-23T10:00:00+01:00", 1_795_424_400_000),
        ("2026-11-23", 1_795_392_000_000),
        ("2h", NOW - 7_200_000),
        ("1000000d", 0),
    ],
)
def test_a_moment_is_a_time_with_offset_a_utc_date_or_a_duration_ago(text: str, ms: int) -> None:
    assert moment_ms(text, NOW) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T09:00:00",
        "2026-11-23 09:00:00Z",
        "2026-13-01",
        "yesterday",
        "-1h",
        "1969-12-31",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment_ms(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert moment_ms(text, NOW) >= 0
