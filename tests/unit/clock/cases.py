"""Random calendars, pauses and edits, judged by the engine and by the oracle.

`python -m tests.unit.clock.cases CASES [SEED]` compares so many and prints what it measured.
"""

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from policy.clock.ledger import Pause, Span, deadline, ledger, run_out
from policy.clock.timeline import Timeline, site_clock
from tests.unit.clock import oracle as clock_oracle
from tests.unit.clock.oracle import MINUTE, Oracle, TickPause

CASES_PER_CALENDAR = 900
LINE = 60 * 1440
PLACES = (
    ("America/Los_Angeles", "US", "CA"),
    ("America/New_York", "US", "NY"),
    ("America/Sao_Paulo", "BR", "SP"),
    ("America/St_Johns", "CA", "NL"),
    ("Europe/Berlin", "DE", "BW"),
    ("Europe/London", "GB", "SCT"),
    ("Europe/Dublin", "IE", None),
    ("Africa/Casablanca", "MA", None),
    ("Africa/Cairo", "EG", None),
    ("Asia/Kathmandu", "NP", None),
    ("Asia/Tokyo", "JP", None),
    ("Australia/Lord_Howe", "AU", "NSW"),
    ("Pacific/Auckland", "NZ", "AUK"),
    ("Pacific/Apia", "WS", None),
    ("UTC", "US", None),
)
REASONS = ("customer hold", "on hold", "approval wait", "needs info")


class Difference(NamedTuple):
    """A case that the two judge differently."""

    what: str
    case: str
    expected: object
    found: object


class Case(NamedTuple):
    """One evaluation: the target runs from `start`, the ledger goes up to `until`, in ticks."""

    oracle: Oracle
    timeline: Timeline
    pauses: tuple[TickPause, ...]
    start: int
    target: int
    until: int


def _hours(chance: random.Random) -> list[list[str]]:
    """Return the hours of a day: up to three intervals, some of which touch."""
    marks = sorted(chance.sample(range(0, 1441, chance.choice((1, 15, 60))), 6))
    spans = [marks[at : at + 2] for at in range(0, 2 * chance.randrange(4), 2)]
    if len(spans) > 1 and chance.random() < 0.2:
        spans[1][0] = spans[0][1]
    return [
        [f"{low // 60:02}:{low % 60:02}", f"{high // 60:02}:{high % 60:02}"] for low, high in spans
    ]


def _document(chance: random.Random, origin: datetime) -> dict[str, Any]:
    open_days = {day: _hours(chance) for day in clock_oracle.DAYS if chance.random() < 0.8}
    if not any(open_days.values()):
        open_days["wed"] = [["09:00", "17:00"]]
    kept: object = chance.choice((True, True, False))
    if chance.random() < 0.2:
        _, country, region = chance.choice(PLACES)
        kept = {"country": country, "region": region}
    document: dict[str, Any] = {"weekly": open_days, "holidays": kept, "exceptions": {}}
    for _ in range(chance.randrange(4)):
        _except(chance, document, origin)
    return document


def _except(chance: random.Random, document: dict[str, Any], origin: datetime) -> None:
    day = (origin + timedelta(days=chance.randrange(60))).date().isoformat()
    reason = chance.choice(("inventory", "festival"))
    document["exceptions"][day] = {"hours": _hours(chance), "reason": reason}


def _edited(chance: random.Random, document: dict[str, Any], origin: datetime) -> dict[str, Any]:
    edited: dict[str, Any] = json.loads(json.dumps(document))
    if chance.random() < 0.5:
        _except(chance, edited, origin)
    else:
        edited["weekly"]["tue"] = [*_hours(chance)] or [["10:00", "11:00"]]
        edited["holidays"] = not edited["holidays"]
    return edited


def _near_a_change(chance: random.Random, zone: str) -> datetime:
    """Return an origin; mostly the clocks of the zone change within the days that follow."""
    day = datetime(
        chance.randrange(2007, 2036), chance.randrange(1, 13), chance.randrange(1, 29), tzinfo=UTC
    )
    month = {"America/Sao_Paulo": (10, 2), "Pacific/Apia": (9, 4), "Australia/Lord_Howe": (10, 4)}
    if chance.random() < 0.7:
        day = day.replace(
            month=chance.choice(month.get(zone, (3, 10, 11))), day=chance.randrange(1, 15)
        )
        day -= timedelta(days=10)
    if zone == "Pacific/Apia" and chance.random() < 0.3:
        day = datetime(2011, 12, 10, tzinfo=UTC)  # a day that this zone skipped
    return day


def _pauses(chance: random.Random, start: int, scale: int) -> tuple[TickPause, ...]:
    found = []
    for _ in range(chance.randrange(5)):
        begin = start + chance.randrange(-scale, 3 * scale)
        end = None if chance.random() < 0.1 else begin + chance.randrange(1, scale)
        found.append(TickPause(begin, end, chance.choice(REASONS)))
    return tuple(found)


def cases(chance: random.Random, count: int) -> Iterator[Case]:
    """Yield `count` cases around one random calendar, before and after edits of it."""
    zone, country, region = chance.choice(PLACES)
    tick = MINUTE if chance.random() < 0.9 else timedelta(seconds=1)
    origin = _near_a_change(chance, zone)
    if tick < MINUTE:
        origin += chance.randrange(20 * 1440) * MINUTE
    document = _document(chance, origin)
    stages = []
    for stage in (document, _edited(chance, document, origin)):
        oracle = Oracle(stage, zone, country, region, origin, tick, LINE)
        clock = site_clock(json.dumps(stage), zone, country, region)
        stages.append((oracle, clock.timeline))
    while count > 0:
        start = chance.randrange(2000, LINE // 2)
        target = chance.randrange(1, 2000)
        until = start + chance.randrange(1, 6000)
        pauses = _pauses(chance, start, 1500)
        late = (*pauses, *_pauses(chance, start, 4000))
        for (oracle, timeline), held in ((stages[0], pauses), (stages[0], late), (stages[1], late)):
            yield Case(oracle, timeline, held, start, target, until)
            count -= 1
            if count == 0:
                return


def real_pauses(case: Case) -> list[Pause]:
    """Return the pauses of a case as the engine knows them."""
    moment = case.oracle.moment
    return [
        Pause(moment(each.start), None if each.end is None else moment(each.end), each.reason)
        for each in case.pauses
    ]


def _ticks(case: Case, spans: Sequence[Span]) -> list[tuple[float, str, str]]:
    tick = case.oracle.tick
    return [((span.end - span.start) / tick, span.kind.value, span.reason) for span in spans]


def difference(case: Case) -> Difference | None:
    """Return where engine and oracle differ, or None."""
    marked, words = case.oracle.paused(case.pauses)
    pauses, moment = real_pauses(case), case.oracle.moment
    name = f"{case.oracle.zone} {case.oracle.origin} {case[2:]} {case.oracle.document}"
    start, until = moment(case.start), moment(case.until)
    spans = ledger(case.timeline, pauses, start, until)
    wanted = clock_oracle.ledger(marked, words, case.start, case.until)
    gaps = any(one.end != other.start for one, other in pairwise(spans))
    if gaps or _ticks(case, spans) != wanted:
        return Difference("ledger", name, wanted, spans)
    expected = clock_oracle.deadline(marked, case.start, case.target)
    found = deadline(case.timeline, pauses, start, case.target * case.oracle.tick)
    if expected is not None and found != moment(expected):
        return Difference("deadline", name, moment(expected), found)
    if expected is None and found is not None and found <= moment(LINE):
        return Difference("deadline", name, None, found)
    open_ends = [each.start for each in case.pauses if each.end is None]
    if expected is None and open_ends and found is None:
        return _standing_difference(case, name, max(case.start, min(open_ends)))
    return None


def _standing_difference(case: Case, name: str, stands: int) -> Difference | None:
    """Compare a clock that stands: by then it has counted what the oracle counts."""
    found = run_out(
        case.timeline,
        real_pauses(case),
        case.oracle.moment(case.start),
        case.target * case.oracle.tick,
    )
    if stands >= LINE:
        return None
    cut = [
        each._replace(end=min(stands, LINE if each.end is None else each.end))
        for each in case.pauses
        if each.start < stands
    ]
    marked, _ = case.oracle.paused(cut)
    at = clock_oracle.deadline(marked, case.start, case.target)
    expected = (None if at is None else case.oracle.moment(at), case.oracle.moment(stands))
    if expected[0] is None or expected == tuple(found):
        return None
    return Difference("standing clock", name, expected, found)


def differences(seed: int, count: int) -> list[Difference]:
    """Return the differences among `count` cases of a seed."""
    chance = random.Random(seed)
    return [each for case in cases(chance, count) if (each := difference(case)) is not None]


def throughput(seed: int) -> tuple[float, float, float]:
    """Return run-outs, ledgers and both together, a second on this core, laid out before."""
    chance = random.Random(seed)
    prepared = [
        (
            case.timeline,
            real_pauses(case),
            case.oracle.moment(case.start),
            case.target * MINUTE,
            case.oracle.moment(case.until),
        )
        for _ in range(8)
        for case in cases(chance, 250)
    ]
    seconds = []
    for _ in range(3):  # the first round lays out the years
        began = time.perf_counter()
        for timeline, pauses, start, target, _until in prepared:
            run_out(timeline, pauses, start, target)
        between = time.perf_counter()
        for timeline, pauses, start, _target, until in prepared:
            ledger(timeline, pauses, start, until)
        seconds.append((between - began, time.perf_counter() - between))
    run_outs, ledgers = (min(each) for each in zip(*seconds, strict=True))
    count = len(prepared)
    return count / run_outs, count / ledgers, count / (run_outs + ledgers)


def _share(work: tuple[int, int]) -> list[Difference]:
    return differences(*work)


def main() -> int:
    """Compare as many cases as asked; exit code 1 if any differs."""
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    shares = [
        (seed + number, min(CASES_PER_CALENDAR, count - begun))
        for number, begun in enumerate(range(0, count, CASES_PER_CALENDAR))
    ]
    began, found, done = time.monotonic(), [], 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for (_, cases_of_share), share in zip(shares, pool.imap(_share, shares), strict=True):
            found += share
            done += cases_of_share
            if done % (100 * CASES_PER_CALENDAR) == 0:
                print(f"{done:,} cases, {len(found)} differences", flush=True)
    minutes = (time.monotonic() - began) / 60
    run_outs, ledgers, both = throughput(seed)
    for each in found[:5]:
        print(str(each)[:2000])
    print(f"seed {seed}: {done:,} cases in {minutes:.1f} min, {len(found)} differences")
    print(f"a second on one core: {run_outs:,.0f} deadlines, {ledgers:,.0f} ledgers", end=", ")
    print(f"{both:,.0f} evaluations of both")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
