"""The oracle: time counted tick by tick from the hours document, without a line of the engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import holidays

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKING = ("working", "working hours")
MINUTE = timedelta(minutes=1)
OBSERVED_ONLY = {"Susan B. Anthony Day", "Diwali"}
"""Holidays of the places that are compared on which nobody closes."""


class TickPause(NamedTuple):
    """A pause in ticks since the oracle's origin; without an end, it lasts."""

    start: int
    end: int | None
    reason: str


@dataclass
class Oracle:
    """What each of `count` ticks after `origin` is, asked of the wall clock one by one."""

    document: dict[str, Any]
    zone: str
    country: str
    region: str | None
    origin: datetime
    tick: timedelta
    count: int
    words: list[tuple[str, str]] = field(default_factory=lambda: [WORKING])
    line: bytes = b""

    def __post_init__(self) -> None:
        """Ask the wall clock."""
        zone, days = ZoneInfo(self.zone), self._holidays()
        line, known = bytearray(), {WORKING: 0}
        hours = {day: self._minutes(spans) for day, spans in self.document["weekly"].items()}
        exceptions = {
            day: (self._minutes(each["hours"]), each["reason"])
            for day, each in self.document["exceptions"].items()
        }
        for number in range(self.count):
            local = (self.origin + number * self.tick).astimezone(zone)
            day = local.date()
            holiday = days.get(day) if days is not None else None
            holiday = None if holiday in OBSERVED_ONLY else holiday
            open_now, rest = hours.get(DAYS[day.weekday()], ()), ("off", "outside hours")
            if day.isoformat() in exceptions:
                open_now, reason = exceptions[day.isoformat()]
                rest = ("off", reason)
            elif holiday is not None:
                open_now, rest = (), ("holiday", holiday)
            minute = 60 * local.hour + local.minute
            word = WORKING if any(low <= minute < high for low, high in open_now) else rest
            if word not in known:
                known[word] = len(known)
                self.words.append(word)
            line.append(known[word])
        self.line = bytes(line)

    def _holidays(self) -> Any:  # noqa: ANN401  the library's own kind of dictionary
        kept = self.document["holidays"]
        if kept is False:
            return None
        where: dict[str, Any] = (
            {"country": self.country, "region": self.region} if kept is True else kept
        )
        country, region = where["country"], where["region"]
        return holidays.country_holidays(country, subdiv=region, language="en_US")

    @staticmethod
    def _minutes(spans: Sequence[Sequence[str]]) -> tuple[tuple[int, int], ...]:
        return tuple(
            (int(low[:2]) * 60 + int(low[3:]), int(high[:2]) * 60 + int(high[3:]))
            for low, high in spans
        )

    def paused(self, pauses: Sequence[TickPause]) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the line with pauses marked on its working ticks, and what its numbers mean."""
        marked, words = bytearray(self.line), list(self.words)
        for pause in sorted(pauses, key=lambda each: (each.start, each.reason)):
            mark = bytes([len(words), *range(1, 256)])
            words.append(("paused", pause.reason))
            low, high = max(pause.start, 0), self.count if pause.end is None else max(pause.end, 0)
            marked[low:high] = marked[low:high].translate(mark)
        return bytes(marked), words

    def moment(self, tick: int) -> datetime:
        """Return the moment of a tick."""
        return self.origin.astimezone(UTC) + tick * self.tick


def deadline(marked: bytes, start: int, target: int) -> int | None:
    """Return the end of the `target`-th working tick since `start`, or None beyond the line."""
    at = start - 1
    for _ in range(target):
        at = marked.find(0, at + 1)
        if at < 0:
            return None
    return at + 1


def ledger(
    marked: bytes, words: Sequence[tuple[str, str]], start: int, until: int
) -> list[tuple[int, str, str]]:
    """Return (ticks, kind, reason) of every stretch of equal ticks."""
    return [
        (sum(1 for _ in group), *word)
        for word, group in groupby(marked[start:until], key=lambda code: words[code])
    ]
