"""Weekly hours against a window, in the site's own time."""

from datetime import datetime, timedelta

import pytest

from policy.assignment.availability import covers
from policy.assignment.roster import Hours

HOUR = 3600
OAKLAND = "America/Los_Angeles"
MONDAY, SUNDAY = 1, 0
DAY_SHIFT = (Hours(MONDAY, 9 * HOUR, 17 * HOUR),)
NIGHT_SHIFT = (Hours(MONDAY, 22 * HOUR, 6 * HOUR),)
TWO_SHIFTS = (Hours(MONDAY, 13 * HOUR, 17 * HOUR), Hours(MONDAY, 9 * HOUR, 13 * HOUR))
ALWAYS = tuple(Hours(day, 0, 24 * HOUR) for day in range(7))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "start", "end", "covered"),
    [
        ((), "2026-11-23T09:00-08:00", "2026-11-23T10:00-08:00", None),
        (DAY_SHIFT, "2026-11-23T09:00-08:00", "2026-11-23T17:00-08:00", True),
        (DAY_SHIFT, "2026-11-23T17:00Z", "2026-11-23T18:00Z", True),
        (DAY_SHIFT, "2026-11-23T08:59-08:00", "2026-11-23T10:00-08:00", False),
        (DAY_SHIFT, "2026-11-23T16:00-08:00", "2026-11-23T17:01-08:00", False),
        (DAY_SHIFT, "2026-11-22T09:00-08:00", "2026-11-22T10:00-08:00", False),
        (TWO_SHIFTS, "2026-11-23T10:00-08:00", "2026-11-23T16:00-08:00", True),
        (NIGHT_SHIFT, "2026-11-23T23:00-08:00", "2026-11-24T05:00-08:00", True),
        (NIGHT_SHIFT, "2026-11-24T05:00-08:00", "2026-11-24T07:00-08:00", False),
        (ALWAYS, "2026-11-23T00:00Z", "2026-12-23T00:00Z", True),
        (ALWAYS[1:], "2026-11-23T00:00Z", "9999-12-31T00:00Z", False),
    ],
)
def test_hours_cover_a_window_only_without_a_gap(
    hours: tuple[Hours, ...], start: str, end: str, covered: object
) -> None:
    assert covers(hours, moment(start), moment(end), OAKLAND) is covered


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../etc/passwd", "America"])
def test_an_unknown_time_zone_leaves_the_question_open(zone: str) -> None:
    start = moment("2026-11-23T00:00Z")
    assert covers(ALWAYS, start, start + timedelta(hours=1), zone) is None


def test_the_end_of_the_calendar_leaves_the_question_open() -> None:
    end = moment("9999-12-31T23:59:59+00:00")
    assert covers(ALWAYS, end - timedelta(hours=1), end, OAKLAND) is None


def test_shifts_follow_the_wall_clock_when_the_clocks_change() -> None:
    sunday = (Hours(SUNDAY, 9 * HOUR, 17 * HOUR),)
    summer, winter = moment("2026-10-25T16:00Z"), moment("2026-11-01T17:00Z")
    for start in (summer, winter):
        assert covers(sunday, start, start + timedelta(hours=8), OAKLAND) is True
