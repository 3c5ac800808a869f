"""SLA target, deadline, status and escalation level (contract 5.3), and the ticket's deadlines."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from policy.canonical import sha256_hex
from policy.clock.closing_days import days_mark
from policy.clock.ledger import RunOut, run_out
from policy.clock.ticket_clock import ClockFacts, TicketClock, clock_of
from policy.clock.timeline import ALWAYS_OPEN
from policy.deadlines.hold_notes import HoldSnapshot, hold_expires_at
from policy.model import TERMINAL, Frozen, State, Ticket
from policy.rules.bundle import Bundle
from policy.rules.escalation import HOLD_EXPIRY, SLA_KINDS
from policy.values import later

MINUTE = timedelta(minutes=1)
MOST_MINUTES = 2**31 - 1
_INSTANT = timedelta(milliseconds=1)
WINDOW_STATES = frozenset(
    {
        State.SCHEDULE_PROPOSED,
        State.SCHEDULED,
        State.PENDING_CUSTOMER_CONFIRMATION,
        State.DISPATCHED,
    }
)
"""States in which somebody waits for the window of a visit."""


class SlaStatus(StrEnum):
    """How a ticket stands against its target."""

    BREACH = "breach"
    WARNING = "warning"
    HEALTHY = "healthy"


class Sla(Frozen):
    """The SLA of a ticket at one instant; minutes are whole and may be negative."""

    target_minutes: int
    deadline_at: datetime
    remaining_minutes: int
    status: SlaStatus
    escalation_level: int


class Deadline(Frozen):
    """An instant at which the ticket must be escalated; `repeats` is the step that it repeats."""

    kind: str
    level: int
    due_at: datetime
    repeats: datetime | None = None


class Due(NamedTuple):
    """When a target of so many minutes runs out; `stands_since` as in `RunOut`."""

    target_minutes: int
    at: datetime
    stands_since: datetime | None = None


def sla_of(bundle: Bundle, ticket: Ticket, now: datetime, facts: ClockFacts | None = None) -> Sla:
    """Return the SLA of `ticket` at `now`. Source: contract 5.3.

    `facts` are those of its clock, None under the standard contract.
    """
    due = resolution_due(clock_of(bundle.sla, ticket, facts), ticket)
    return sla_at(bundle, due, ticket.state, now)


def resolution_due(clock: TicketClock, ticket: Ticket) -> Due:
    """Return when the ticket must be finished."""
    target = clock.contract.resolution[ticket.priority]
    return due_of(clock, ticket.scheduled_start or ticket.created_at, target)


def promise_due(bundle: Bundle, clock: TicketClock, ticket: Ticket) -> Due | None:
    """Return until when an urgent ticket was promised, if its window begins only after that."""
    start = ticket.scheduled_start
    kept = ticket.priority in bundle.sla.kept_from_creation and ticket.state in WINDOW_STATES
    if start is None or not kept:
        return None
    due = due_of(clock, ticket.created_at, clock.contract.resolution[ticket.priority])
    return due if due.stands_since is None and due.at < start else None


class BoardPlace(NamedTuple):
    """What the queue knows of a clock: see the columns of `ticket_queue`."""

    clock_at: datetime
    stands_at: datetime | None
    minutes_left: int | None
    promise_at: datetime | None

    def left_at(self, at: datetime, target_minutes: int) -> int:
        """Return the minutes left at an instant; the standard target is given."""
        if self.stands_at is not None and self.minutes_left is not None and self.stands_at <= at:
            return self.minutes_left
        return min(
            ((self.promise_at or self.clock_at) - at) // MINUTE + target_minutes, MOST_MINUTES
        )


def board_place(bundle: Bundle, clock: TicketClock, ticket: Ticket) -> BoardPlace:
    """Return where a ticket's clock puts it in the queue."""
    due = resolution_due(clock, ticket)
    target = bundle.sla.target_minutes[ticket.priority] * MINUTE
    if due.stands_since is not None:
        left = min((due.at - due.stands_since) // MINUTE, MOST_MINUTES)
        return BoardPlace(due.at - target, due.stands_since, left, None)
    promise = promise_due(bundle, clock, ticket)
    return BoardPlace(due.at - target, None, None, promise and promise.at - target)


def rules_mark(bundle: Bundle) -> int:
    """Return a number that changes with the rules and with the public holidays they go by."""
    return int(sha256_hex([bundle.sha256, days_mark()])[:15], 16)


def due_of(clock: TicketClock, start: datetime, target_minutes: int) -> Due:
    """Return when a target that runs from `start` runs out."""
    span = target_minutes * MINUTE
    if clock.timeline is ALWAYS_OPEN and not clock.pauses:
        ends = RunOut(later(start, span))
    else:
        ends = run_out(clock.timeline, clock.pauses, start, span)
    return Due(target_minutes, ends.at, ends.stands_since)


def sla_at(bundle: Bundle, due: Due, state: State, now: datetime) -> Sla:
    """Return the SLA at `now` of a ticket that must be finished when `due` says.

    While the clock stands, it is judged as at the instant from which it stands.
    """
    judged_at = now if due.stands_since is None else min(now, due.stands_since)
    remaining = (due.at - judged_at) // MINUTE
    status = SlaStatus.HEALTHY
    if remaining < 0:
        status = SlaStatus.BREACH
    elif remaining <= bundle.sla.warning_minutes:
        status = SlaStatus.WARNING
    level = {SlaStatus.HEALTHY: 0, SlaStatus.WARNING: 1, SlaStatus.BREACH: 2}[status]
    if remaining < -due.target_minutes:
        level = 3
    return Sla(
        target_minutes=due.target_minutes,
        deadline_at=later(due.at, now - judged_at),
        remaining_minutes=remaining,
        status=status,
        escalation_level=0 if state in TERMINAL else level,
    )


def deadlines(
    bundle: Bundle,
    ticket: Ticket,
    rests_since: datetime,
    hold: HoldSnapshot | None = None,
    facts: ClockFacts | None = None,
) -> Iterator[Deadline]:
    """Yield everything the ticket is heading for, past deadlines included.

    `rests_since` is the instant of its newest transition, `hold` the one it rests in, `facts` are
    those of its clock. An SLA level is due at the first instant at which `sla_of` answers it; what
    a standing clock keeps from coming is no deadline.
    """
    if ticket.state in TERMINAL:
        return
    due = resolution_due(clock_of(bundle.sla, ticket, facts), ticket)
    for steps in (_sla_deadlines(bundle, due), _rest_deadlines(bundle, ticket, rests_since)):
        for step in steps:
            yield step
            for again in bundle.escalation.ladders[step.kind].repeats_of(step.due_at):
                yield step.model_copy(update={"due_at": again, "repeats": step.due_at})
    if hold is not None and ticket.state is State.PENDING_CUSTOMER_CONFIRMATION:
        yield Deadline(kind=HOLD_EXPIRY, level=1, due_at=hold_expires_at(bundle, hold))


def _sla_deadlines(bundle: Bundle, due: Due) -> Iterator[Deadline]:
    margin = (bundle.sla.warning_minutes + 1) * MINUTE - _INSTANT
    instants = (
        due.at - margin,
        later(due.at, _INSTANT),
        later(due.at, due.target_minutes * MINUTE + _INSTANT),
    )
    for level, (kind, at) in enumerate(zip(SLA_KINDS, instants, strict=True), start=1):
        if due.stands_since is None or at <= due.stands_since:
            yield Deadline(kind=kind, level=level, due_at=at)


def _rest_deadlines(bundle: Bundle, ticket: Ticket, rests_since: datetime) -> Iterator[Deadline]:
    for kind, ladder in bundle.escalation.ladders.items():
        if ticket.state not in ladder.states:
            continue
        start = rests_since
        if ladder.counts_from == "window_end":
            if ticket.scheduled_end is None:
                continue
            start = max(start, ticket.scheduled_end)
        for level, minutes in enumerate(ladder.after_minutes, start=1):
            yield Deadline(kind=kind, level=level, due_at=later(start, minutes * MINUTE))
