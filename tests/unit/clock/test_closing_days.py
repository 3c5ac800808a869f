"""Holidays: only days on which a place closes, of the region that is meant."""

import json
from datetime import date

import pytest

from policy.clock.calendar import read_calendar
from policy.clock.closing_days import closing_days
from policy.clock.ticket_clock import ClockFacts
from policy.model import State
from policy.ticket.shape import ticket_shape
from tests.unit.facts_builder import NOW, bundle, ticket

WEEK = {"weekly": {"mon": [["09:00", "17:00"]]}}


@pytest.mark.parametrize(
    ("region", "day"),
    [
        ("CA", date(2027, 2, 15)),  # Susan B. Anthony Day, which is Presidents' Day as well
        ("CA", date(2026, 11, 27)),
        ("TX", date(2026, 12, 24)),
        ("MA", date(2026, 4, 20)),
        (None, date(2026, 7, 4)),
    ],
)
def test_a_day_on_which_offices_close_stops_the_clock(region: str | None, day: date) -> None:
    assert day in closing_days("US", region, day.year)


@pytest.mark.parametrize(
    ("region", "day"),
    [
        ("CA", date(2028, 2, 15)),  # Susan B. Anthony Day
        ("NY", date(2028, 2, 15)),
        ("CA", date(2026, 11, 8)),  # Diwali
        ("TX", date(2026, 3, 2)),  # Texas Independence Day, with offices open
        ("IL", date(2026, 3, 2)),  # Casimir Pulaski Day
        ("CA", date(2026, 10, 12)),  # Columbus Day, which California does not have
    ],
)
def test_a_day_that_is_only_observed_does_not(region: str, day: date) -> None:
    assert day not in closing_days("US", region, day.year)


@pytest.mark.parametrize("written", ["BY", "by", " DE-BY ", "de-by", "Bayern"])
@pytest.mark.parametrize("explicit", [False, True])
def test_a_region_is_understood_however_it_is_written(written: str, explicit: bool) -> None:  # noqa: FBT001  a column of the table
    whose = {"country": "de", "region": written} if explicit else True
    hours = json.dumps({**WEEK, "holidays": whose})
    calendar, problems = read_calendar(hours, "Europe/Berlin", "de", written)
    assert problems == ()
    assert calendar.holidays is not None
    assert (calendar.holidays.country, calendar.holidays.region) == ("DE", "BY")


def facts(region: str) -> ClockFacts:
    return ClockFacts(
        contract="business_hours",
        hours=json.dumps(WEEK),
        timezone="Europe/Berlin",
        country="DE",
        region=region,
    )


def test_what_was_not_understood_of_a_clock_is_shown_on_the_ticket() -> None:
    shown = ticket_shape(bundle(), ticket(State.TRIAGED), NOW, facts("Atlantis"))
    (problem,) = shown["sla_problems"]
    assert "Atlantis" in problem
    assert "sla_problems" not in ticket_shape(bundle(), ticket(State.TRIAGED), NOW, facts("DE-BY"))
    assert "sla_problems" not in ticket_shape(bundle(), ticket(State.TRIAGED), NOW, None)
