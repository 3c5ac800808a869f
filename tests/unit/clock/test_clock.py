"""The SLA clock by example: days of 23 and 25 hours, holidays, pauses, unreadable hours."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from policy.clock.ledger import NEVER, Pause, Span, deadline, ledger, run_out, spent
from policy.clock.timeline import ALWAYS_OPEN, Kind, Timeline, site_clock

HOUR = timedelta(hours=1)
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OFFICE = {day: [["09:00", "12:00"], ["13:00", "17:00"]] for day in WEEK[:5]}
FRIDAY = datetime(2026, 11, 27, tzinfo=UTC)


def document(weekly: Any = None, **more: Any) -> str:  # noqa: ANN401  any hours
    return json.dumps({"weekly": weekly or OFFICE, "holidays": False, **more})


def timeline(zone: str = "UTC", country: str = "US", **hours: Any) -> Timeline:  # noqa: ANN401
    clock = site_clock(document(**hours), zone, country, None)
    assert clock.problems == ()
    return clock.timeline


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def of_day(zone: str, day: str, weekly: Any) -> timedelta:  # noqa: ANN401
    start = at(f"{day}T00:00+00:00") - 24 * HOUR
    return spent(ledger(timeline(zone, weekly=weekly), (), start, start + 72 * HOUR))


# The wall clock decides: an hour that is skipped does not count, one that is repeated counts twice.
@pytest.mark.parametrize(
    ("zone", "day", "opens", "hours"),
    [
        ("America/New_York", "2026-03-08", ["00:00", "24:00"], 23),
        ("America/New_York", "2026-11-01", ["00:00", "24:00"], 25),
        ("America/New_York", "2026-03-08", ["01:00", "04:00"], 2),
        ("America/New_York", "2026-03-08", ["02:00", "03:00"], 0),
        ("America/New_York", "2026-11-01", ["01:00", "02:00"], 2),
        ("America/New_York", "2026-11-01", ["01:30", "02:30"], 1.5),
        ("America/Phoenix", "2026-03-08", ["00:00", "24:00"], 24),
        ("Europe/Berlin", "2026-03-29", ["00:00", "24:00"], 23),
        ("Europe/Berlin", "2026-10-25", ["02:15", "02:45"], 1),
        ("Australia/Lord_Howe", "2026-10-04", ["00:00", "24:00"], 23.5),
        ("Australia/Lord_Howe", "2026-04-05", ["00:00", "24:00"], 24.5),
        ("America/Sao_Paulo", "2018-11-04", ["00:00", "24:00"], 23),
        ("America/Sao_Paulo", "2018-02-17", ["23:00", "24:00"], 2),
        ("Asia/Kathmandu", "2026-06-01", ["09:00", "17:00"], 8),
        ("Pacific/Apia", "2011-12-30", ["00:00", "24:00"], 0),
    ],
)
def test_hours_count_by_the_wall_clock_on_the_days_it_changes(
    zone: str, day: str, opens: list[str], hours: float
) -> None:
    weekday = WEEK[date.fromisoformat(day).weekday()]
    assert of_day(zone, day, {weekday: [opens]}) == hours * HOUR


@pytest.mark.parametrize(
    ("start", "target", "due"),
    [
        ("2026-11-27T09:00Z", 3, "2026-11-27T12:00Z"),
        ("2026-11-27T09:00Z", 4, "2026-11-27T14:00Z"),
        ("2026-11-27T12:30Z", 1, "2026-11-27T14:00Z"),
        ("2026-11-27T16:00Z", 2, "2026-11-30T10:00Z"),
        ("2026-11-28T16:00Z", 1, "2026-11-30T10:00Z"),
        ("2026-11-27T16:59:59.999999Z", 1, "2026-11-30T09:59:59.999999Z"),
    ],
)
def test_a_target_runs_out_in_working_time_only(start: str, target: int, due: str) -> None:
    assert deadline(timeline(), (), at(start), target * HOUR) == at(due)


def test_every_minute_has_one_kind_and_a_reason() -> None:
    pauses = [
        Pause(FRIDAY + 8 * HOUR, FRIDAY + 10 * HOUR, "on hold"),
        Pause(FRIDAY + 9.5 * HOUR, FRIDAY + 11 * HOUR, "approval wait"),
    ]
    spans = ledger(timeline(), pauses, FRIDAY + 8.5 * HOUR, FRIDAY + 13.5 * HOUR)
    hours = [8.5, 9, 10, 11, 12, 13, 13.5]
    kinds = [Kind.OFF, Kind.PAUSED, Kind.PAUSED, Kind.WORKING, Kind.OFF, Kind.WORKING]
    assert [span.start for span in spans] == [FRIDAY + each * HOUR for each in hours[:-1]]
    assert [span.end for span in spans] == [FRIDAY + each * HOUR for each in hours[1:]]
    assert [span.kind for span in spans] == kinds
    assert [span.reason for span in spans[1:3]] == ["on hold", "approval wait"]


def test_a_retroactive_pause_moves_the_deadline_by_its_working_time_only() -> None:
    night = Pause(FRIDAY + 16 * HOUR, FRIDAY + 33 * HOUR, "forgotten hold")
    start = FRIDAY + 15 * HOUR
    assert deadline(timeline(), (), start, 2 * HOUR) == FRIDAY + 17 * HOUR
    assert deadline(timeline(), [night], start, 2 * HOUR) == at("2026-11-30T10:00Z")


def test_a_clock_that_stands_keeps_what_was_left() -> None:
    held = [Pause(FRIDAY + 10 * HOUR, None, "customer hold")]
    assert deadline(timeline(), held, FRIDAY + 9 * HOUR, 2 * HOUR) is None
    stands = run_out(timeline(), held, FRIDAY + 9 * HOUR, 2 * HOUR)
    assert stands == (FRIDAY + 11 * HOUR, FRIDAY + 10 * HOUR)
    before = run_out(timeline(), held, FRIDAY + 13 * HOUR, 2 * HOUR)
    assert before == (FRIDAY + 15 * HOUR, FRIDAY + 13 * HOUR)


def test_a_pause_behind_the_deadline_changes_nothing() -> None:
    held = [Pause(FRIDAY + 12 * HOUR, None, "customer hold")]
    assert run_out(timeline(), held, FRIDAY + 9 * HOUR, 3 * HOUR) == (FRIDAY + 12 * HOUR, None)


def test_public_holidays_follow_country_and_region() -> None:
    unity, start = "2026-01-06T00:00+01:00", at("2026-01-05T23:00Z")
    hours = document(holidays={"country": "DE", "region": "BW"})
    south = site_clock(hours, "Europe/Berlin", "US", None).timeline
    north = site_clock(document(holidays=True), "Europe/Berlin", "DE", "BE").timeline
    assert ledger(south, (), start, start + 24 * HOUR) == [
        Span(at(unity), at(unity) + 24 * HOUR, Kind.HOLIDAY, "Epiphany")
    ]
    assert spent(ledger(north, (), start, start + 24 * HOUR)) == 7 * HOUR


def test_an_exception_wins_over_week_and_holiday() -> None:
    exceptions = {
        "2026-12-25": {"hours": [["10:00", "11:00"]], "reason": "emergency desk"},
        "2026-12-28": {"hours": [], "reason": "inventory"},
    }
    clock = timeline(holidays=True, exceptions=exceptions)
    start = at("2026-12-25T00:00Z")
    spans = ledger(clock, (), start, start + 120 * HOUR)
    assert (spans[0].reason, spans[1].end) == ("emergency desk", at("2026-12-25T11:00Z"))
    assert spent(spans) == 8 * HOUR
    assert ("off", "inventory") in [(span.kind, span.reason) for span in spans]


@pytest.mark.parametrize(
    ("hours", "zone", "told"),
    [
        ("[]", "UTC", "unreadable hours"),
        ('{"weekly": {}}', "UTC", "a week without any hours"),
        ('{"weekly": {"mon": [["9:00", "17:00"]]}}', "UTC", "two times of the day"),
        ('{"weekly": {"mon": [["17:00", "09:00"]]}}', "UTC", "ends after it starts"),
        ('{"weekly": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}}', "UTC", "overlap"),
        ('{"weekly": {"mon": [["09:00", "17:00"]]}, "opens": 1}', "UTC", "opens"),
        ('{"weekly": {"mon": [["09:00", "17:00"]]}, "exceptions": {"x": {}}}', "UTC", "exceptions"),
        ('{"weekly": {"mon": [["09:00", "17:00"]]}, "holidays": {"country": "XX"}}', "UTC", "XX"),
        (document(), "Mars/Olympus", "unknown time zone"),
    ],
)
def test_unreadable_hours_count_as_always_open_and_say_so(hours: str, zone: str, told: str) -> None:
    clock = site_clock(hours, zone, "US", None)
    assert spent(ledger(clock.timeline, (), FRIDAY, FRIDAY + 24 * HOUR)) == 24 * HOUR
    assert [told in problem for problem in clock.problems] == [True]


def test_an_unknown_region_keeps_the_holidays_of_the_country_and_says_so() -> None:
    clock = site_clock(document(holidays=True), "UTC", "us", "Bavaria")
    christmas = at("2026-12-25T00:00Z")
    assert ledger(clock.timeline, (), christmas, christmas + HOUR)[0].kind is Kind.HOLIDAY
    assert "unknown region Bavaria" in clock.problems[0]
    nowhere = site_clock(document(holidays=True), "UTC", "Atlantis", None)
    assert "none are kept" in nowhere.problems[0]


def test_no_hours_at_all_mean_always_open() -> None:
    assert site_clock("{}", "America/New_York", "US", "NY").problems == ()
    assert deadline(ALWAYS_OPEN, (), FRIDAY, 1440 * HOUR) == FRIDAY + 1440 * HOUR


def test_a_clock_beyond_the_calendar_never_runs_out() -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    assert deadline(timeline(), (), last, HOUR) == NEVER
