"""A site's working hours: weekly intervals, public holidays and exceptions, as validated data."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated, NamedTuple, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from policy.clock.closing_days import closing_days, known_country, known_region
from policy.model import Frozen

DAY_MINUTES = 24 * 60
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


Problems: TypeAlias = tuple[str, ...]


class Weekday(StrEnum):
    """The days of the week, as `hours_json` names them."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Interval(NamedTuple):
    """Minutes of the wall clock since midnight, from `start` up to but without `end`."""

    start: int
    end: int


def _interval(value: object) -> Interval:
    if isinstance(value, Interval):
        return value
    match value:
        case [str() as start, str() as end] if _CLOCK.fullmatch(start) and _CLOCK.fullmatch(end):
            interval = Interval(_minutes(start), _minutes(end))
        case _:
            raise ValueError('an interval is two times of the day, ["09:00", "17:00"]')
    if interval.end <= interval.start:
        raise ValueError("an interval ends after it starts; one over midnight is written as two")
    return interval


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)


def _in_order(value: object) -> object:
    intervals = [_interval(each) for each in value] if isinstance(value, list | tuple) else None
    if intervals is None:
        raise ValueError("a day is a list of intervals")
    if any(one.end > other.start for one, other in pairwise(intervals)):
        raise ValueError("the intervals of a day are in order and do not overlap")
    return tuple(intervals)


Day = Annotated[tuple[Interval, ...], BeforeValidator(_in_order)]


class Region(Frozen):
    """Whose public holidays are kept: an ISO country and one of its subdivisions."""

    country: str
    region: str | None = None

    @field_validator("country")
    @classmethod
    def _known_country(cls, written: str) -> str:
        country = known_country(written)
        if country is None:
            raise ValueError(f"no public holidays are known of country {written}")
        return country

    @field_validator("region")
    @classmethod
    def _known_region(cls, written: str | None, info: ValidationInfo) -> str | None:
        country = info.data.get("country")
        if country is None or not (written or "").strip():
            return None
        region = known_region(country, written or "")
        if region is None:
            raise ValueError(f"country {country} has no known region {written}")
        return region

    def days(self, year: int) -> Mapping[date, str]:
        """Return the days of a year on which the place closes by date, substitutes included."""
        return closing_days(self.country, self.region, year)


class ExceptionDay(Frozen):
    """What holds on one date instead of the week and of any holiday; without hours, closed."""

    hours: Day = ()
    reason: str = "exception"


class Hours(Frozen):
    """`sites.hours_json`. `holidays` is true (of the site's country and region), false, or whose.

    Public holidays are days without hours. `{}` is no such document: it means always open.
    """

    weekly: Mapping[Weekday, Day]
    holidays: bool | Region = True
    exceptions: Mapping[date, ExceptionDay] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not any(self.weekly.values()):
            raise ValueError("a week without any hours never lets a clock run")
        return self


class Calendar(Frozen):
    """When time counts at a place; without anything said, always. `week` begins on Monday."""

    zone: str = "UTC"
    week: tuple[Day, Day, Day, Day, Day, Day, Day] = ((Interval(0, DAY_MINUTES),),) * 7
    holidays: Region | None = None
    exceptions: Mapping[date, ExceptionDay] = Field(default_factory=dict)

    @cached_property
    def zone_info(self) -> ZoneInfo:
        """The time zone's rules."""
        return ZoneInfo(self.zone)


ALWAYS = Calendar()


def read_calendar(
    hours_json: str, timezone: str, country: str, region: str | None
) -> tuple[Calendar, Problems]:
    """Return the calendar of a site's columns, and what of them could not be followed.

    `hours_json` is the text of its column. Unreadable hours count as always open, the strictest
    reading; in an unknown region the holidays of the whole country are kept.
    """
    if hours_json.strip() == "{}":
        return ALWAYS, ()
    try:
        zone = ZoneInfo(timezone).key
    except (LookupError, ValueError, OSError):
        return ALWAYS, (f"unknown time zone {timezone}, counted as always open",)
    try:
        hours = Hours.model_validate_json(hours_json)
    except ValidationError as error:
        problem = "; ".join(_told(each["loc"], each["msg"]) for each in error.errors()[:3])
        return ALWAYS, (f"unreadable hours, counted as always open: {problem}",)
    kept, problems = _kept_holidays(hours, country, region)
    monday, tuesday, wednesday, thursday, friday, saturday, sunday = (
        hours.weekly.get(day, ()) for day in Weekday
    )
    week = (monday, tuesday, wednesday, thursday, friday, saturday, sunday)
    calendar = Calendar(zone=zone, week=week, holidays=kept, exceptions=hours.exceptions)
    return calendar, problems


def _told(path: Sequence[int | str], message: str) -> str:
    return f"{'.'.join(map(str, path))}: {message}" if path else message


def _kept_holidays(
    hours: Hours, country: str, region: str | None
) -> tuple[Region | None, Problems]:
    if isinstance(hours.holidays, Region):
        return hours.holidays, ()
    if not hours.holidays:
        return None, ()
    code, region = known_country(country), (region or "").strip()
    if code is None:
        return None, (f"no public holidays are known of country {country}: none are kept",)
    if not region or known_region(code, region) is not None:
        return Region(country=code, region=region), ()
    problem = f"unknown region {region} of {code}: the holidays of the whole country are kept"
    return Region(country=code), (problem,)
