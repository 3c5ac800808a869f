"""The SLA as it is shown: every target with its deadline, and the ledger that explains them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from policy.clock.ledger import Span, ledger, spent
from policy.clock.ticket_clock import ClockFacts, Move, TicketClock, clock_of
from policy.clock.timeline import Kind
from policy.deadlines.sla import MINUTE, due_of, sla_at
from policy.model import TERMINAL, Priority, State, Ticket
from policy.rules.bundle import Bundle
from policy.rules.sla import Minutes
from policy.values import format_datetime, instant

Targets = Mapping[Priority, Minutes]


class Milestone(NamedTuple):
    """What a target asks for: the clock's start, the target by priority, and when it was met."""

    name: str
    start: datetime
    targets: Targets | None
    met_at: datetime | None


def sla_shape(bundle: Bundle, ticket: Ticket, now: datetime, facts: ClockFacts) -> dict[str, Any]:
    """Return the SLA of a ticket at `now`; the ledger ends then, or where it was finished."""
    clock = clock_of(bundle.sla, ticket, facts)
    milestones = _milestones(clock, ticket, facts.moves_of(ticket))
    resolution = milestones[-1]
    until = resolution.met_at or now
    due = due_of(clock, resolution.start, clock.contract.resolution[ticket.priority])
    stands = due.stands_since is not None and due.stands_since <= now
    spans = ledger(clock.timeline, clock.pauses, resolution.start, until)
    return {
        "contract": clock.name,
        "calendar": clock.contract.calendar,
        "clock_started_at": format_datetime(resolution.start),
        "standing_since": instant(due.stands_since) if stands else None,
        "problems": list(clock.problems),
        **{each.name: _target(bundle, clock, ticket, each, now) for each in milestones},
        "minutes": {kind.value: spent(spans, kind) // MINUTE for kind in Kind},
        "ledger": [_line(span) for span in spans],
    }


def _milestones(
    clock: TicketClock, ticket: Ticket, moves: Sequence[Move]
) -> tuple[Milestone, Milestone, Milestone]:
    contract, starts = clock.contract, ticket.scheduled_start or ticket.created_at
    answered = _first(moves, frozenset(State) - {State.NEW})
    arrived = _first(moves, {State.ON_SITE})
    finished = _first(moves, TERMINAL)
    return (
        Milestone("response", ticket.created_at, contract.response, answered),
        Milestone("arrival", starts, contract.arrival, arrived or finished),
        Milestone("resolution", starts, contract.resolution, finished),
    )


def _first(moves: Sequence[Move], states: frozenset[State] | set[State]) -> datetime | None:
    return next((move.at for move in moves if move.state in states), None)


def _target(
    bundle: Bundle, clock: TicketClock, ticket: Ticket, milestone: Milestone, now: datetime
) -> dict[str, Any] | None:
    """Return how a target stands; None if the contract has none."""
    if milestone.targets is None:
        return None
    due = due_of(clock, milestone.start, milestone.targets[ticket.priority])
    sla = sla_at(bundle, due, ticket.state, milestone.met_at or now)
    status = sla.status.value
    if milestone.met_at is not None:
        status = "met" if sla.remaining_minutes >= 0 else "missed"
    return {
        "target_minutes": due.target_minutes,
        "due_at": format_datetime(sla.deadline_at),
        "met_at": instant(milestone.met_at),
        "remaining_minutes": sla.remaining_minutes,
        "status": status,
    }


def _line(span: Span) -> dict[str, Any]:
    return {
        "start": format_datetime(span.start),
        "end": format_datetime(span.end),
        "kind": span.kind.value,
        "reason": span.reason,
    }
