"""Whether a technician's weekly hours cover a window (contract 7.6)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from policy.assignment.roster import Hours

# Hours repeat every week: who covers eight days on end covers any time.
LONGEST = timedelta(days=8)
DAY = timedelta(days=1)


def covers(hours: Sequence[Hours], start: datetime, end: datetime, timezone: str) -> bool | None:
    """Return whether `hours`, in local time of `timezone`, cover start to end without a gap.

    None without hours, and where the zone or the calendar leaves the question open. Hours that
    end no later than they start last until the next day.
    """
    if not hours:
        return None
    try:
        spans = sorted(_spans(hours, start, min(end, start + LONGEST), ZoneInfo(timezone)))
    except (KeyError, ValueError, OSError, OverflowError):
        return None
    reached = start
    for opens, closes in spans:
        if opens > reached:
            break
        reached = max(reached, closes)
    return reached >= min(end, start + LONGEST)


def _spans(
    hours: Sequence[Hours], start: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    day = start.astimezone(zone).date() - DAY
    last = end.astimezone(zone).date()
    while day <= last:
        for row in hours:
            if row.weekday == day.isoweekday() % 7:
                overnight = DAY if row.end_seconds <= row.start_seconds else timedelta(0)
                opens = _instant(day, timedelta(seconds=row.start_seconds), zone)
                closes = _instant(day, timedelta(seconds=row.end_seconds) + overnight, zone)
                yield opens, closes
        day += DAY


def _instant(day: date, since_midnight: timedelta, zone: ZoneInfo) -> datetime:
    wall = datetime(day.year, day.month, day.day) + since_midnight  # noqa: DTZ001  localised next
    return wall.replace(tzinfo=zone).astimezone(UTC)
