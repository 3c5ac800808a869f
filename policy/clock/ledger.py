"""The ledger: what every minute between two instants was, and when a target runs out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from policy.clock.timeline import Kind, Tile, Timeline, span_micros, to_micros, to_moment

NEVER = datetime.max.replace(tzinfo=UTC)
_OPEN = 2**63


class Pause(NamedTuple):
    """A stretch in which a clock stands, if time counts then at all; without an end, it lasts."""

    start: datetime
    end: datetime | None
    reason: str


class Span(NamedTuple):
    """A stretch of the ledger: from `start` up to but without `end`."""

    start: datetime
    end: datetime
    kind: Kind
    reason: str


class RunOut(NamedTuple):
    """When a target runs out, in UTC.

    While a pause without an end keeps the clock from it, `stands_since` is the instant from which
    it stands, and `at` when the target would have run out without that pause.
    """

    at: datetime
    stands_since: datetime | None = None


class _Cut(NamedTuple):
    start: int
    reason: str
    end: int


def ledger(
    timeline: Timeline, pauses: Sequence[Pause], start: datetime, until: datetime
) -> list[Span]:
    """Return what the time from `start` until `until` was, in order and without gap.

    Of several pauses at once the one that began first names the reason.
    """
    spans: list[Span] = []
    begin = start
    held: Tile | None = None
    for tile in _paused(timeline.tiles(to_micros(start), to_micros(until)), _cut(pauses)):
        if held is not None and (held.kind is not tile.kind or held.reason != tile.reason):
            end = to_moment(held.end)
            spans.append(Span(begin, end, held.kind, held.reason))
            begin = end
        held = tile
    if held is not None:
        spans.append(Span(begin, to_moment(held.end), held.kind, held.reason))
    return spans


def spent(spans: Sequence[Span], kind: Kind = Kind.WORKING) -> timedelta:
    """Return how much of a ledger is of one kind, by default of the one that counts."""
    lengths = (span.end - span.start for span in spans if span.kind is kind)
    return sum(lengths, timedelta(0))


def deadline(
    timeline: Timeline, pauses: Sequence[Pause], start: datetime, target: timedelta
) -> datetime | None:
    """Return the first instant at which `target` was worked since `start`.

    None if a pause without an end comes before it; `NEVER` if the calendar ends first.
    """
    at, work = to_micros(start), span_micros(target)
    for pause in _cut(pauses):
        if pause.end <= at:
            continue
        if pause.start > at:
            reached, work = timeline.advance(at, work, pause.start)
            if reached is not None:
                return to_moment(reached)
        if pause.end == _OPEN:
            return None
        at = pause.end
    reached, _ = timeline.advance(at, work, None)
    return NEVER if reached is None else to_moment(reached)


def run_out(
    timeline: Timeline, pauses: Sequence[Pause], start: datetime, target: timedelta
) -> RunOut:
    """Return when `target` runs out, also while the clock stands."""
    at = deadline(timeline, pauses, start, target)
    if at is not None:
        return RunOut(at)
    since = min(pause.start for pause in pauses if pause.end is None)
    ended = [
        pause._replace(end=since if pause.end is None else min(pause.end, since))
        for pause in pauses
        if pause.start < since
    ]
    at = deadline(timeline, ended, start, target)
    return RunOut(at or NEVER, max(since, start))


def _cut(pauses: Sequence[Pause]) -> Sequence[_Cut]:
    """Return the pauses without overlap, in order; what begins first keeps its whole length."""
    ordered = sorted(
        (to_micros(start), reason, _OPEN if end is None else to_micros(end))
        for start, end, reason in pauses
    )
    cut: list[_Cut] = []
    free_from = -_OPEN
    for start, reason, end in ordered:
        if end > max(start, free_from):
            cut.append(_Cut(max(start, free_from), reason, end))
            free_from = end
    return cut


def _paused(tiles: Iterator[Tile], pauses: Sequence[_Cut]) -> Iterator[Tile]:
    """Yield the tiles with pauses laid over the working ones."""
    following = iter(pauses)
    pause = next(following, None)
    for tile in tiles:
        if tile.kind is not Kind.WORKING:
            yield tile
            continue
        at = tile.start
        while at < tile.end:
            while pause is not None and pause.end <= at:
                pause = next(following, None)
            if pause is None or pause.start >= tile.end:
                yield tile if at == tile.start else Tile(at, tile.end, tile.kind, tile.reason)
                break
            if pause.start > at:
                yield Tile(at, pause.start, tile.kind, tile.reason)
                at = pause.start
            end = min(pause.end, tile.end)
            yield Tile(at, end, Kind.PAUSED, pause.reason)
            at = end
