"""The dispatcher's queue: how its order and its rows follow from the SLA (contract 10.2)."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from policy.deadlines.sla import MINUTE, Due, SlaStatus, sla_at
from policy.model import Priority, State
from policy.rules.bundle import Bundle
from policy.rules.sla import STANDARD
from policy.values import identifier, instant, later

DEFAULT_LIMIT = 200
PRIORITIES = tuple(Priority)
PROVIDER_STATES = frozenset(
    {
        State.SCHEDULED,
        State.DISPATCHED,
        State.ON_SITE,
        State.IN_PROGRESS,
        State.ON_HOLD,
        State.COMPLETED_PENDING_VERIFICATION,
    }
)


class Position(NamedTuple):
    """A row's place in the queue. Positions sort as the queue does.

    The SLA status needs no member: it follows from the remaining minutes, and rises with them.
    `newest_first` is the time of the last update in milliseconds, negated.
    """

    remaining_minutes: int
    priority_rank: int
    region_weight: int
    newest_first: int
    ticket_id: UUID


class BoardRow(NamedTuple):
    """A ticket in the queue, with what its place there follows from.

    `promise_at` is the clock that gives the place where `clock_at`, with the window, does not.
    """

    position: Position
    state: str
    clock_at: datetime
    contract: str | None = None
    stands_at: datetime | None = None
    promise_at: datetime | None = None


class Span(NamedTuple):
    """Remaining minutes from `low` up to but without `high`; None has no end."""

    low: int | None
    high: int | None

    def holds(self, minute: int) -> bool:
        """Return whether a minute lies within."""
        return (self.low is None or self.low <= minute) and (
            self.high is None or minute < self.high
        )


def spans_of(bundle: Bundle, statuses: Collection[SlaStatus]) -> list[Span]:
    """Return the spans in which tickets have one of the statuses, in the queue's order."""
    if not statuses:
        return [Span(None, None)]
    healthy_from = bundle.sla.warning_minutes + 1
    spans: list[Span] = []
    for status, span in (
        (SlaStatus.BREACH, Span(None, 0)),
        (SlaStatus.WARNING, Span(0, healthy_from)),
        (SlaStatus.HEALTHY, Span(healthy_from, None)),
    ):
        if status not in statuses:
            continue
        if spans and spans[-1].high == span.low:
            spans[-1] = Span(spans[-1].low, span.high)
        else:
            spans.append(span)
    return spans


def spans_after(spans: Collection[Span], minute: int) -> Iterator[Span]:
    """Yield what is left of the spans behind a minute."""
    for low, high in spans:
        if high is not None and high <= minute + 1:
            continue
        yield Span(minute + 1 if low is None else max(low, minute + 1), high)


def clock_bound(at: datetime, minute: int | None, target_minutes: int) -> datetime | None:
    """Return from when on a clock has at least `minute` minutes left at `at`; None is no bound."""
    if minute is None:
        return None
    try:
        return at + timedelta(minutes=minute - target_minutes)
    except OverflowError:
        return None


def minutes_left(at: datetime, clock_at: datetime, target_minutes: int) -> int:
    """Return the whole minutes that are left at `at`."""
    return (clock_at - at) // MINUTE + target_minutes


def timer_text(minutes: int) -> str:
    """Return minutes as HH:MM with a leading minus when they are over."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else ''}{hours:02d}:{rest:02d}"


def delay_attribution(state: State) -> str:
    """Return whose turn it is while a ticket rests in `state`."""
    if state is State.APPROVAL_REQUIRED:
        return "customer"
    return "provider" if state in PROVIDER_STATES else "unknown"


def board_row(
    bundle: Bundle,
    row: BoardRow,
    detail: Mapping[str, Any],
    at: datetime,
    actions: Mapping[str, object],
) -> dict[str, Any]:
    """Return a row of the queue, judged at `at`; `actions` are its last members (contract 10.2).

    `detail` are columns of the ticket, of its site and of its place in the queue.
    """
    state, priority = State(row.state), PRIORITIES[row.position.priority_rank]
    sla = sla_at(bundle, _due(bundle, row, priority), state, at)
    return {
        "ticket_id": str(row.position.ticket_id),
        "state": row.state,
        "phase": bundle.phase_of[state],
        "priority": priority.value,
        "incident_type": detail["incident_type"],
        "scheduled_start": instant(detail["scheduled_start"]),
        "escalation_level": sla.escalation_level,
        "site_region": detail["region"],
        "site": {
            "id": str(detail["site_id"]),
            "name": detail["name"],
            "city": detail["city"],
            "region": detail["region"],
        },
        "assigned_tech": identifier(detail["assigned_tech_id"]),
        "last_update_at": instant(detail["audited_at"] or detail["updated_at"]),
        "last_transition_at": instant(detail["moved_at"] or detail["updated_at"]),
        "region_weight": row.position.region_weight,
        "sla_target_minutes": sla.target_minutes,
        "sla_deadline_at": instant(sla.deadline_at),
        "sla_timer_remaining_minutes": sla.remaining_minutes,
        "sla_status": sla.status.value,
        "sla_timer_remaining": timer_text(sla.remaining_minutes),
        "sla_delay_attribution": delay_attribution(state),
        **_promise(bundle, row, priority, at),
        **actions,
    }


def _promise(
    bundle: Bundle, row: BoardRow, priority: Priority, at: datetime
) -> dict[str, dict[str, Any]]:
    """Return how the promise stands that a window came too late for, if one did."""
    if row.promise_at is None:
        return {}
    kept = _due(bundle, row._replace(clock_at=row.promise_at), priority)
    sla = sla_at(bundle, kept, State(row.state), at)
    shown = {
        "due_at": instant(sla.deadline_at),
        "remaining_minutes": sla.remaining_minutes,
        "status": sla.status.value,
    }
    return {"sla_promise": shown}


def _due(bundle: Bundle, row: BoardRow, priority: Priority) -> Due:
    contracts = bundle.sla.contracts
    contract = contracts.get(row.contract or STANDARD, contracts[STANDARD])
    ends = later(row.clock_at, bundle.sla.target_minutes[priority] * MINUTE)
    return Due(contract.resolution[priority], ends, row.stands_at)
