"""The value types of the contract, at their edges."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from policy.json_levels import SAFE_INTEGER
from policy.values import (
    Boolean,
    Cents,
    DateOrDateTime,
    DateTime,
    Name,
    Percent,
    Text,
    TextAsSent,
    Uuid,
    Window,
    format_datetime,
    later,
)

MIXED = "0a1B2c3D-4e5F-6a7B-8c9D-0e1F2a3B4c5D"


def read(kind: Any, value: object) -> Any:  # noqa: ANN401  any type
    return TypeAdapter(kind).validate_python(value)


def refused(kind: Any, value: object) -> bool:  # noqa: ANN401  any type
    try:
        read(kind, value)
    except ValidationError:
        return True
    return False


def test_a_uuid_is_read_in_any_case_and_answered_in_lower_case() -> None:
    assert str(read(Uuid, MIXED)) == MIXED.lower()


@pytest.mark.parametrize(
    "value",
    [
        *("", MIXED.replace("-", ""), f"{{{MIXED}}}", f" {MIXED}", f"urn:uuid:{MIXED}"),
        *(MIXED[:-1] + "g", MIXED[:-1] + "\u0663", 7, None),
    ],
)
def test_anything_but_36_characters_of_hex_and_hyphens_is_no_uuid(value: object) -> None:
    assert refused(Uuid, value)


@pytest.mark.parametrize(("kind", "limit"), [(Text, 10_000), (Name, 200)])
def test_a_text_has_its_limit_and_loses_surrounding_white_space(kind: object, limit: int) -> None:
    assert read(kind, "  a b\n") == "a b"
    assert read(kind, "x" * limit) == "x" * limit
    assert refused(kind, "x" * (limit + 1))
    assert all(refused(kind, value) for value in ("", "   ", "\u2003", 5, None, ["a"]))


def test_a_description_is_kept_as_sent() -> None:
    assert read(TextAsSent, " a ") == " a "


@pytest.mark.parametrize("value", [0, 12, 12.0, SAFE_INTEGER, float(2**53 - 1)])
def test_cents_are_whole_numbers_up_to_the_largest_safe_integer(value: float) -> None:
    assert read(Cents, value) == int(value)


@pytest.mark.parametrize(
    "value", [-1, 0.5, SAFE_INTEGER + 1, 1e300, float("inf"), float("nan"), True, "12", None]
)
def test_other_cents_are_refused(value: object) -> None:
    assert refused(Cents, value)


@pytest.mark.parametrize(("value", "read_as"), [(0, 0), (84.999, 84), (100, 100), (99.9, 99)])
def test_a_percentage_loses_its_fraction(value: float, read_as: int) -> None:
    assert read(Percent, value) == read_as


@pytest.mark.parametrize("value", [-0.1, 100.1, True, "50", float("nan")])
def test_a_number_outside_a_hundred_is_no_percentage(value: object) -> None:
    assert refused(Percent, value)


def test_only_the_two_json_words_are_booleans() -> None:
    assert [read(Boolean, value) for value in (True, False)] == [True, False]
    assert all(refused(Boolean, value) for value in (1, 0, "true", None))


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05.9999+02:00", "2026-01-02T01:04:05.999Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("2024-02-29T23:59:59-00:00", "2024-02-29T23:59:59.000Z"),
    ],
)
def test_a_datetime_is_answered_in_utc_cut_to_milliseconds(sent: str, answered: str) -> None:
    assert format_datetime(read(DateTime, sent)) == answered


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-02", "2026-01-02 03:04:05Z", "2026-01-02T03:04Z", "20260102T030405Z"),
        *("2026-02-29T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:05+24:00"),
        *("2026-01-02T03:04:05+02", "1969-12-31T23:59:59Z", "1970-01-01T00:30:00+01:00"),
        *("9999-12-31T23:59:59-01:00", "\u0662026-01-02T03:04:05Z", 0, None),
    ],
)
def test_what_is_no_moment_of_the_calendar_is_refused(value: object) -> None:
    assert refused(DateTime, value)


def test_a_plain_date_is_the_start_of_its_day_where_dates_are_allowed() -> None:
    assert read(DateOrDateTime, "2026-01-02") == datetime(2026, 1, 2, tzinfo=UTC)
    assert refused(DateOrDateTime, "2026-13-01")
    assert refused(DateOrDateTime, "1969-12-31")


def test_a_window_ends_after_it_starts() -> None:
    start, end = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.001Z"
    assert read(Window, {"start": start, "end": end, "note": "kept out"}).answer() == {
        "start": "2026-01-02T03:04:05.000Z",
        "end": "2026-01-02T03:04:05.001Z",
    }
    assert refused(Window, {"start": start, "end": start})
    assert refused(Window, {"start": start})


def test_the_calendar_ends_without_an_error() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert later(last, last - datetime(2026, 1, 1, tzinfo=UTC)) == last
