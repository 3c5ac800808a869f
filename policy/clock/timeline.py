"""A calendar laid out on the time line, year by year, so that nobody counts minutes one by one.

Instants are whole microseconds since 1970, UTC. A minute counts if the wall clock of the calendar's
zone shows a time within its hours: an hour that is skipped in spring does not exist, and one that
is repeated in autumn counts twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from policy.clock.calendar import ALWAYS, Calendar, Interval, read_calendar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 9998
SECOND = 1_000_000
_PROBE_SECONDS = 6 * 3600
_DAY_SECONDS = 86_400


class Kind(StrEnum):
    """What a minute is; each is exactly one of these."""

    WORKING = "working"
    OFF = "off"
    HOLIDAY = "holiday"
    PAUSED = "paused"


class Tile(NamedTuple):
    """A stretch of one kind, in microseconds."""

    start: int
    end: int
    kind: Kind
    reason: str


def to_micros(moment: datetime) -> int:
    """Return an aware moment in microseconds since 1970."""
    return span_micros(moment - EPOCH)


def span_micros(span: timedelta) -> int:
    """Return a length of time in microseconds."""
    return (span.days * _DAY_SECONDS + span.seconds) * SECOND + span.microseconds


def to_moment(micros: int) -> datetime:
    """Return the moment of so many microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Year(NamedTuple):
    """One year of UTC: its tiles without gap, and the working ones with the sum before each."""

    start: int
    end: int
    tiles: tuple[Tile, ...]
    tile_ends: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    before: tuple[int, ...]

    def worked(self, until: int) -> int:
        """Return the working time from the year's beginning."""
        index = bisect_right(self.starts, until) - 1
        if index < 0:
            return 0
        return self.before[index] + min(until, self.ends[index]) - self.starts[index]

    def reached(self, worked: int) -> int:
        """Return the first instant at which so much has been worked; more than nothing."""
        index = bisect_left(self.before, worked) - 1
        return self.starts[index] + worked - self.before[index]


class Timeline:
    """The years of one calendar, each laid out when it is first asked for."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._years: dict[int, Year] = {}
        self._recent: Year | None = None

    def advance(self, start: int, work: int, until: int | None) -> tuple[int | None, int]:
        """Return the first instant at which `work` is done, and what is left of it by `until`.

        The instant is None if it does not come by then. Without an end the calendar's last year
        is one.
        """
        at = start
        while (year := self._year_of(at)) is not None:
            end = year.end if until is None else min(until, year.end)
            begun = year.worked(at)
            available = year.worked(end) - begun
            if work <= available:
                return (year.reached(begun + work) if work else at), 0
            work -= available
            if end == until:
                break
            at = end
        return None, work

    def tiles(self, start: int, until: int) -> Iterator[Tile]:
        """Yield the tiles between two instants, cut to them."""
        at = start
        while at < until and (year := self._year_of(at)) is not None:
            for index in range(bisect_right(year.tile_ends, at), len(year.tiles)):
                tile = year.tiles[index]
                if tile.start >= until:
                    return
                if tile.start < at or tile.end > until:
                    begin, end = max(tile.start, at), min(tile.end, until)
                    tile = Tile(begin, end, tile.kind, tile.reason)
                yield tile
            at = year.end

    def _year_of(self, at: int) -> Year | None:
        recent = self._recent
        if recent is not None and recent.start <= at < recent.end:
            return recent
        number = to_moment(at).year
        if number > LAST_YEAR:
            return None
        year = self._years.get(number)
        if year is None:
            year = self._years[number] = _laid_out(self._calendar, number)
        self._recent = year
        return year


class SiteClock(NamedTuple):
    """A site's timeline, and what of its hours could not be followed."""

    timeline: Timeline
    problems: tuple[str, ...] = ()


ALWAYS_OPEN = Timeline(ALWAYS)


@lru_cache(maxsize=512)
def site_clock(hours_json: str, timezone: str, country: str, region: str | None) -> SiteClock:
    """Return the clock of a site's columns; sites with the same hours share what is laid out."""
    calendar, problems = read_calendar(hours_json, timezone, country, region)
    return SiteClock(Timeline(calendar), problems)


def _laid_out(calendar: Calendar, number: int) -> Year:
    tiles = tuple(_merged(_tiles(calendar, number)))
    working = [tile for tile in tiles if tile.kind is Kind.WORKING]
    before = [0]
    for tile in working:
        before.append(before[-1] + tile.end - tile.start)
    return Year(
        start=tiles[0].start,
        end=tiles[-1].end,
        tiles=tiles,
        tile_ends=tuple(tile.end for tile in tiles),
        starts=tuple(tile.start for tile in working),
        ends=tuple(tile.end for tile in working),
        before=tuple(before[:-1]),
    )


def _merged(tiles: Iterator[Tile]) -> Iterator[Tile]:
    held = next(tiles)
    for tile in tiles:
        if tile[2:] == held[2:]:
            held = held._replace(end=tile.end)
        else:
            yield held
            held = tile
    yield held


def _tiles(calendar: Calendar, number: int) -> Iterator[Tile]:
    """Yield a year's tiles in order: each stretch of one offset maps the wall clock straight."""
    first, last = (
        to_micros(datetime(each, 1, 1, tzinfo=UTC)) // SECOND for each in (number, number + 1)
    )
    days = _Days(calendar, number)
    for start, end, offset in _stretches(calendar, first, last):
        wall, stop = start + offset, end + offset
        while wall < stop:
            ordinal = wall // _DAY_SECONDS
            midnight = ordinal * _DAY_SECONDS
            for low, high, kind, reason in days.parts(ordinal):
                begins, ends = max(midnight + low, wall), min(midnight + high, stop)
                if begins < ends:
                    yield Tile((begins - offset) * SECOND, (ends - offset) * SECOND, kind, reason)
            wall = midnight + _DAY_SECONDS


def _stretches(calendar: Calendar, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, offset from UTC) in seconds; the offset changes between two of them."""
    begun, offset = first, _offset(calendar, first)
    for probe in range(first + _PROBE_SECONDS, last + 1, _PROBE_SECONDS):
        found = _offset(calendar, probe)
        if found == offset:
            continue
        low, high = probe - _PROBE_SECONDS, probe
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _offset(calendar, middle) == found else (middle, high)
        yield begun, high, offset
        begun, offset = high, found
    if begun < last:
        yield begun, last, offset


def _offset(calendar: Calendar, seconds: int) -> int:
    offset = datetime.fromtimestamp(seconds, calendar.zone_info).utcoffset() or timedelta(0)
    return int(offset.total_seconds())


class _Days:
    """What the days of a year are, its neighbours' included, which a zone may reach into."""

    def __init__(self, calendar: Calendar, number: int) -> None:
        self._calendar = calendar
        self._holidays: dict[date, str] = {}
        if calendar.holidays is not None:
            for year in (number - 1, number, number + 1):
                self._holidays.update(calendar.holidays.days(year))

    def parts(self, ordinal: int) -> Sequence[tuple[int, int, Kind, str]]:
        """Return the parts of a day in seconds of the wall clock, from 0 to 24 hours."""
        day = date(1970, 1, 1) + timedelta(days=ordinal)
        exception = self._calendar.exceptions.get(day)
        if exception is not None:
            return _parts(exception.hours, Kind.OFF, exception.reason)
        holiday = self._holidays.get(day)
        if holiday is not None:
            return _parts((), Kind.HOLIDAY, holiday)
        return _parts(self._calendar.week[day.weekday()], Kind.OFF, "outside hours")


def _parts(
    hours: Sequence[Interval], rest: Kind, reason: str
) -> Sequence[tuple[int, int, Kind, str]]:
    parts: list[tuple[int, int, Kind, str]] = []
    at = 0
    for start, end in hours:
        if start * 60 > at:
            parts.append((at, start * 60, rest, reason))
        parts.append((start * 60, end * 60, Kind.WORKING, "working hours"))
        at = end * 60
    if at < _DAY_SECONDS:
        parts.append((at, _DAY_SECONDS, rest, reason))
    return parts
