"""Instants and durations as people at a place read them: its zone, its way of telling the time."""

from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY_MINUTES, HOUR_MINUTES = 24 * 60, 60
_ENGLISH = "en_US"


class Place(NamedTuple):
    """Whose clocks and habits count: a time zone, and an ISO country code."""

    zone: ZoneInfo
    country: str


def place_of(timezone: str, country: str) -> Place:
    """Return the place of a site's columns."""
    return Place(zone_of(timezone), country)


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that name; one that nobody knows counts as UTC."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return ZoneInfo("UTC")


def local(at: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant by the clocks of a zone; at either end of the calendar, by UTC."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """Return the day that an instant is on in a zone."""
    return local(at, zone).date()


def moment_text(at: datetime, place: Place) -> str:
    """Return an instant, such as `Mon 7 Jan, 8:00 AM PST`."""
    here = local(at, place.zone)
    return f"{_day(here)}, {_clock(here, place.country)} {_zone_name(here)}"


def window_text(start: datetime, end: datetime, place: Place) -> str:
    """Return a span of time, such as `Mon 7 Jan, 8:00-10:00 AM PST`.

    What both ends have in common is said once, except where the clocks are changed in between.
    """
    opens, closes = local(start, place.zone), local(end, place.zone)
    if (opens.date(), opens.tzname()) != (closes.date(), closes.tzname()):
        return f"{moment_text(start, place)} - {moment_text(end, place)}"
    first, last = _clock(opens, place.country), _clock(closes, place.country)
    if first.partition(" ")[2] == last.partition(" ")[2]:
        first = first.partition(" ")[0]
    return f"{_day(opens)}, {first}-{last} {_zone_name(opens)}"


def duration_text(minutes: int) -> str:
    """Return whole minutes by their two largest units, such as `18 d 22 h`; `-` if negative."""
    days, rest = divmod(abs(minutes), DAY_MINUTES)
    hours, rest = divmod(rest, HOUR_MINUTES)
    parts = [(days, "d"), (hours, "h"), (rest, "min")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    said = " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)
    return f"{'-' if minutes < 0 else ''}{said or '0 min'}"


def span_text(span: timedelta) -> str:
    """Return a duration as `duration_text` does, cut off after minutes."""
    return duration_text(int(span.total_seconds()) // 60)


def _day(here: datetime) -> str:
    # Not at the top: only who writes to people pays for the library and its tables.
    from babel.dates import format_date  # noqa: PLC0415

    return format_date(here, "EEE d MMM", locale=_ENGLISH)


def _clock(here: datetime, country: str) -> str:
    from babel.dates import format_time  # noqa: PLC0415

    # tzinfo=None would count as UTC: the wall clock is shown as it is.
    pattern = "h:mm a" if _has_twelve_hours(country.strip().upper()) else "HH:mm"
    return format_time(here.time(), pattern, locale=_ENGLISH)


@cache
def _has_twelve_hours(country: str) -> bool:
    """Return whether the people of a country (ISO code) count to twelve twice a day."""
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415

    try:
        spoken = Locale.parse(f"und_{country}", resolve_likely_subtags=True)
    except (UnknownLocaleError, ValueError):
        return False
    return any(sign in str(spoken.time_formats["short"].pattern) for sign in "abB")


def _zone_name(here: datetime) -> str:
    name = here.tzname() or "UTC"
    return f"UTC{name}" if name[:1] in {"+", "-"} else name
