"""SLA target, deadline, status and escalation level (contract 5.3), and the ticket's deadlines."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from policy.bundle import Bundle
from policy.facts import HoldSnapshot
from policy.hold_window import hold_expires_at
from policy.model import TERMINAL, Frozen, Priority, State, Ticket
from policy.values import later

MINUTE = timedelta(minutes=1)
HOLD_EXPIRY = "hold_expiry"


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
    """An instant at which the ticket must be escalated."""

    kind: str
    level: int
    due_at: datetime


def sla_of(bundle: Bundle, ticket: Ticket, now: datetime) -> Sla:
    """Return the SLA of `ticket` at `now`. Source: contract 5.3."""
    clock_at = ticket.scheduled_start or ticket.created_at
    return sla_at(bundle, ticket.priority, ticket.state, clock_at, now)


def sla_at(
    bundle: Bundle, priority: Priority, state: State, clock_at: datetime, now: datetime
) -> Sla:
    """Return the SLA at `now` of a ticket whose clock runs from `clock_at`."""
    target = bundle.sla.target_minutes[priority]
    deadline = later(clock_at, target * MINUTE)
    remaining = (deadline - now) // MINUTE
    status = SlaStatus.HEALTHY
    if remaining < 0:
        status = SlaStatus.BREACH
    elif remaining <= bundle.sla.warning_minutes:
        status = SlaStatus.WARNING
    level = {SlaStatus.HEALTHY: 0, SlaStatus.WARNING: 1, SlaStatus.BREACH: 2}[status]
    if remaining < -target:
        level = 3
    return Sla(
        target_minutes=target,
        deadline_at=deadline,
        remaining_minutes=remaining,
        status=status,
        escalation_level=0 if state in TERMINAL else level,
    )


def deadlines(
    bundle: Bundle, ticket: Ticket, rests_since: datetime, hold: HoldSnapshot | None = None
) -> Iterator[Deadline]:
    """Yield everything the ticket is heading for, past deadlines included.

    `rests_since` is the instant of its newest transition, `hold` the one it rests in. An SLA
    level is due at the first instant at which `sla_of` answers it.
    """
    if ticket.state in TERMINAL:
        return
    target = bundle.sla.target_minutes[ticket.priority] * MINUTE
    breach = later(ticket.scheduled_start or ticket.created_at, target)
    instant = timedelta(milliseconds=1)
    margin = (bundle.sla.warning_minutes + 1) * MINUTE
    yield Deadline(kind="sla_warning", level=1, due_at=breach - margin + instant)
    yield Deadline(kind="sla_breach", level=2, due_at=later(breach, instant))
    yield Deadline(kind="sla_double_breach", level=3, due_at=later(breach, target + instant))
    if ticket.state in bundle.stuck_scheduling.states:
        for level, minutes in enumerate(bundle.stuck_scheduling.after_minutes, start=1):
            due = rests_since + minutes * MINUTE
            yield Deadline(kind="stuck_scheduling", level=level, due_at=due)
    if hold is not None and ticket.state is State.PENDING_CUSTOMER_CONFIRMATION:
        yield Deadline(kind=HOLD_EXPIRY, level=1, due_at=hold_expires_at(bundle, hold))
