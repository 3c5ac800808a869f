"""The bill that the record of a ticket gives: presence on site, parts, the prices and the tax."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from policy.billing.invoice import MOST_LINES, Bill, Line, LineKind, fits, half_up
from policy.billing.price_list import PriceList
from policy.local_time import local_day
from policy.model import Frozen, State, Ticket
from policy.values import format_datetime, instant

UTC = ZoneInfo("UTC")
MINUTE = timedelta(minutes=1)
MINUTES_PER_HOUR = 60
BASIS_POINTS = 10_000
LATE_AFTER = timedelta(minutes=15)
"""A check-in that is recorded later than this after the claimed arrival is shown as late."""
FAST_CLOCK = timedelta(minutes=5)
"""By so much a telephone may be ahead of us, and its claim still be honest."""
COMPLETIONS = frozenset({"tech.complete", "closeout.candidate"})
KEEPS_VISIT = frozenset({None, State.IN_PROGRESS, State.ON_HOLD, State.APPROVAL_REQUIRED})
"""After-states in which a technician who checked in is still on the visit."""


class CheckIn(Frozen):
    """An arrival: as the technician claims it, as it was recorded, and from when labour counts.

    `doubt` says why a claim is not followed.
    """

    claimed_at: datetime | None
    recorded_at: datetime
    doubt: str | None

    @property
    def counted_from(self) -> datetime:
        """The claimed instant if it is plausible, else the recorded one; never a later one."""
        if self.doubt or self.claimed_at is None:
            return self.recorded_at
        return min(self.claimed_at, self.recorded_at)

    @property
    def late(self) -> bool:
        """Whether labour counts from long before anybody could see it."""
        return self.recorded_at - self.counted_from > LATE_AFTER

    def shape(self) -> dict[str, Any]:
        """Return the check-in as a draft invoice shows it."""
        return {
            "claimed_at": instant(self.claimed_at),
            "recorded_at": format_datetime(self.recorded_at),
            "counted_from": format_datetime(self.counted_from),
            "late": self.late,
            "doubt": self.doubt,
        }


class OnSite(Frozen):
    """What the record of a ticket says of the work: minutes on site, and the parts used."""

    minutes: int
    parts: tuple[Line, ...]
    parts_unpriced: bool
    check_ins: tuple[CheckIn, ...] = ()


class _Days(NamedTuple):
    """The local days of a window, first and last."""

    first: date
    last: date


class _Visits:
    """Adds up presence while a ticket's events go by."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.present = timedelta(0)
        self.check_ins: list[CheckIn] = []
        self._zone = zone
        self._window: _Days | None = None
        self._dispatched: datetime | None = None
        self._on_visit = False
        self._since: datetime | None = None

    def follow(self, event: Mapping[str, Any]) -> None:
        """Take the next event into account."""
        at, state = datetime.fromisoformat(event["created_at"]), event["after_state"]
        self._note(event, at)
        if self._since is not None and state not in {None, State.IN_PROGRESS}:
            self.present += max(at - self._since, timedelta(0))
            self._since = None
        self._on_visit = self._on_visit and state in KEEPS_VISIT
        if self._on_visit and self._since is None and state == State.IN_PROGRESS:
            self._since = at

    def _note(self, event: Mapping[str, Any], at: datetime) -> None:
        payload = event["payload"]
        match event["tool_name"]:
            case "schedule.propose":
                self._window = self._days(payload.get("selected_window_hint"))
            case "schedule.confirm":
                self._window = self._days(payload.get("confirmation_window"))
            case "assignment.dispatch":
                self._dispatched = at
            case "dispatch.resume" if event["after_state"] == State.READY_TO_SCHEDULE:
                self._window = None
            case "tech.check_in":
                arrival = self._arrival(payload.get("check_in_timestamp"), at)
                self.check_ins.append(arrival)
                self._on_visit, self._since = True, arrival.counted_from
            case _:
                pass

    def _days(self, window: Mapping[str, str] | None) -> _Days | None:
        if not window:
            return None
        ends = (datetime.fromisoformat(window[end]) for end in ("start", "end"))
        return _Days(*(local_day(end, self._zone) for end in ends))

    def _arrival(self, claim: str | None, at: datetime) -> CheckIn:
        claimed = None if claim is None else datetime.fromisoformat(claim)
        doubt = None if claimed is None else self._doubt(claimed, at)
        return CheckIn(claimed_at=claimed, recorded_at=at, doubt=doubt)

    def _doubt(self, claimed: datetime, at: datetime) -> str | None:
        if claimed > at + FAST_CLOCK:
            return "claims an arrival in the future"
        if self._dispatched is not None and claimed < self._dispatched:
            return "claims an arrival before the dispatch"
        day = local_day(self._dispatched or at, self._zone)
        first, last = self._window or _Days(day, day)
        if not first <= local_day(claimed, self._zone) <= last:
            return "claims an arrival on another day than that of the visit"
        return None


def work_done(events: Sequence[Mapping[str, Any]], zone: ZoneInfo = UTC) -> OnSite:
    """Return what audit events (V, in order) say of the work on site; `zone` is the site's.

    Time counts from a check-in, as it claims if that is plausible, until the completion; waiting
    for an approval or on hold it does not, nor after a reopening until somebody checks in again.
    Parts are those that the newest completion lists, as lines; they are optional there.
    """
    visits = _Visits(zone)
    completion: Mapping[str, Any] = {}
    for event in events:
        visits.follow(event)
        if event["tool_name"] in COMPLETIONS:
            completion = event["payload"].get("request") or {}
    parts = _parts(completion.get("parts"))
    checklist = completion.get("checklist_status")
    used = isinstance(checklist, dict) and checklist.get("parts_used_or_needed") is True
    return OnSite(
        minutes=-(-visits.present // MINUTE),
        parts=parts,
        parts_unpriced=used and not parts,
        check_ins=tuple(visits.check_ins),
    )


def _parts(value: object) -> tuple[Line, ...]:
    """Return the parts of a completion; what is no list of lines, or too much, counts as none."""
    try:
        listed = value if isinstance(value, list) and len(value) <= MOST_LINES else []
        parts = tuple(Line.model_validate({**part, "kind": LineKind.PARTS}) for part in listed)
    except (TypeError, ValueError):
        return ()
    return parts if fits(Bill(lines=parts)) else ()


def derived_bill(
    prices: PriceList, ticket: Ticket, work: OnSite, country: str, region: str | None
) -> Bill:
    """Return the lines that the record of a ticket gives: call-out, labour, parts and tax.

    Parts with which the total would be too large for a reader of JSON count as not priced.
    """
    lines = [*_visit_lines(prices, ticket, work), *work.parts]
    if work.parts_unpriced:
        lines.append(
            Line(description="Parts used, to be priced", kind=LineKind.PARTS, amount_cents=0)
        )
    bill = Bill(lines=(*lines, *_tax_lines(lines, prices.tax_of(country, region))))
    if fits(bill):
        return bill
    unpriced = work.model_copy(update={"parts": (), "parts_unpriced": True})
    return derived_bill(prices, ticket, unpriced, country, region)


def _visit_lines(prices: PriceList, ticket: Ticket, work: OnSite) -> list[Line]:
    if not work.minutes:
        return []
    step = prices.labour_step_minutes
    minutes = -(-work.minutes // step) * step
    rate, fee = prices.labour_cents_per_hour, prices.call_out_cents
    call_out = Line(
        description="Call-out", kind=LineKind.CALL_OUT, unit_price_cents=fee[ticket.priority]
    )
    late = " (checked in late)" if any(each.late for each in work.check_ins) else ""
    labour = Line(
        description=f"Labour on site, {minutes} minutes{late}",
        kind=LineKind.LABOUR,
        quantity=_hours(minutes, rate[ticket.priority]),
        unit_price_cents=rate[ticket.priority],
    )
    return [call_out, labour]


def _hours(minutes: int, cents_per_hour: int) -> Decimal:
    """Return minutes as hours, with the fewest decimals that give the exact amount.

    Ten minutes are no finite number of hours: 0.167 would charge too much, 0.16667 does not.
    """
    amount = half_up(Fraction(minutes * cents_per_hour, MINUTES_PER_HOUR))
    exact, places = Decimal(minutes) / MINUTES_PER_HOUR, 3
    while True:
        hours = exact.quantize(Decimal(1).scaleb(-places), ROUND_UP)
        if half_up(Fraction(hours) * cents_per_hour) == amount:
            return hours
        places += 1


def _tax_lines(lines: Sequence[Line], points: int) -> list[Line]:
    """Return the tax on all lines together, rounded once; `points` are hundredths of a percent."""
    if not points:
        return []
    tax = half_up(Fraction(sum(line.charged for line in lines) * points, BASIS_POINTS))
    rate = format((Decimal(points) / 100).normalize(), "f")
    return [Line(description=f"Tax {rate} %", kind=LineKind.TAX, amount_cents=tax)]
