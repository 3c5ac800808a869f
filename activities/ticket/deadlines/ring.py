"""The ticket's own timers: overdue is escalated, an expired hold rolled back (contract 16.1)."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

from activities.command.writes import write
from activities.ticket.deadlines.judging import judge
from activities.ticket.deadlines.raising import Look, raised_now, record
from activities.ticket.facts import ladders_of
from activities.ticket.opening import TicketOpening, open_ticket
from activities.ticket.recording import record_command
from activities.ticket.view import nearest_of, ticket_view
from activities.ticket.writes import WRITES
from contracts.statements import NEWEST_HOLD
from contracts.ticket import TIMER_ACTOR_ID, TicketView, TimerFired
from policy.command.message import Command, request_hash
from policy.command.registry import command_tool
from policy.deadlines.history import Past
from policy.deadlines.hold_notes import HoldSnapshot
from policy.deadlines.sla import Deadline, deadlines, sla_of
from policy.deadlines.steps import due_steps, open_steps
from policy.model import Actor, ActorType, Role, State, Ticket
from policy.rules.bundle import Bundle
from policy.rules.escalation import HOLD_EXPIRY
from policy.ticket.case import TicketCase
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import TicketFacts
from policy.ticket.holds import HOLD_EXPIRED
from runtime.postgres.pool import Connection

ROLLBACK = "schedule.rollback"


async def hold_of(conn: Connection, ticket: Ticket) -> HoldSnapshot | None:
    """Return the hold that the ticket rests in, or None."""
    if ticket.state is not State.PENDING_CUSTOMER_CONFIRMATION:
        return None
    row = await conn.fetchrow(NEWEST_HOLD, ticket.id)
    return HoldSnapshot(**row) if row else None


def passed(
    bundle: Bundle, opening: TicketOpening, hold: HoldSnapshot | None
) -> frozenset[Deadline]:
    """Return every deadline of the ticket as it was before."""
    if opening.ticket is None:
        return frozenset()
    before = deadlines(bundle, opening.ticket, opening.rests_since, hold, opening.clock)
    return frozenset(before)


class Rung(NamedTuple):
    """The ticket after a look, how many escalations it raised or holds it rolled back, how late."""

    ticket: TicketView
    seen_to: int
    late: timedelta


async def ring(
    conn: Connection, bundle: Bundle, fired: TimerFired, detector: str = "timer"
) -> Rung | None:
    """See to everything that is due on a ticket, each once; return the ticket as it stands."""
    opening = await open_ticket(conn, fired.tenant_id, None, fired.ticket_id)
    if opening.ticket is None:
        return None
    now, rules = opening.now, bundle.escalation
    hold = await hold_of(conn, opening.ticket)
    ahead = passed(bundle, opening, hold)
    ladders = await ladders_of(conn, opening.ticket.id)
    due = due_steps(open_steps(rules, ahead, ladders.past), now)
    ticket, since = opening.ticket, opening.rests_since
    if hold is not None and any(step.deadline.kind == HOLD_EXPIRY for step in due):
        ticket, since, hold = await _expire(conn, bundle, opening, hold), now, None
    raised = raised_now((s for s in due if s.deadline.kind != HOLD_EXPIRY), ladders, now)
    clock = opening.clock and (await judge(conn, bundle, ticket.id) or opening.clock)
    past = Past(raised=(*ladders.past.raised, *raised), snoozes=ladders.past.snoozes)
    still = open_steps(rules, deadlines(bundle, ticket, since, hold, clock), past)
    left = nearest_of((step.awaited for step in still), now, ahead)
    next_look = None if left is None else left.due_at
    await record(
        conn, bundle, Look(opening.ticket, ladders.place, raised, detector, next_look, now)
    )
    view = ticket_view(bundle, ticket, sla_of(bundle, ticket, now, clock), left)
    late_ms = max((each.lateness_ms for each in raised), default=0)
    return Rung(view, len(due), timedelta(milliseconds=late_ms))


async def _expire(
    conn: Connection, bundle: Bundle, opening: TicketOpening, hold: HoldSnapshot
) -> Ticket:
    """Roll the hold back as schedule.rollback would, in the name of the timer."""
    command = _expiry_command(bundle, opening, hold)
    payload = command_tool(ROLLBACK).payload.model_validate(command.payload)
    facts = TicketFacts(
        now=opening.now,
        ticket=opening.ticket,
        audit_id=uuid4(),
        new_ids=(uuid4(), uuid4()),
        clock=opening.clock,
        hold=hold,
    )
    case = TicketCase(bundle, bundle.tools[ROLLBACK], command, facts, payload)
    decision = command_tool(ROLLBACK).decide(case)
    if not isinstance(decision, TicketEffects) or decision.ticket is None:
        raise RuntimeError(f"hold {hold.hold_sequence_id} cannot be rolled back: {decision}")
    chain = opening.chain
    await record_command(conn, bundle, command, facts, decision, chain, keep_answer=False)
    await write(conn, WRITES, command.actor.tenant_id, decision.writes)
    return decision.ticket


def _expiry_command(bundle: Bundle, opening: TicketOpening, hold: HoldSnapshot) -> Command:
    """Return the timer's command; its ids follow from the hold, so a retry is the same command."""
    if opening.ticket is None:
        raise LookupError("a hold belongs to a ticket")
    request_id: UUID = uuid5(hold.hold_sequence_id, HOLD_EXPIRED)
    payload: dict[str, Any] = {
        "confirmation_id": str(hold.hold_sequence_id),
        "reason": HOLD_EXPIRED,
    }
    path = {"ticketId": str(opening.ticket.id)}
    return Command(
        command_id=uuid5(request_id, ROLLBACK),
        tool=ROLLBACK,
        endpoint=bundle.tools[ROLLBACK].route,
        actor=Actor(
            actor_id=TIMER_ACTOR_ID,
            actor_role=Role.SYSTEM,
            actor_type=ActorType.SYSTEM,
            tenant_id=opening.ticket.tenant_id,
        ),
        ticket_id=opening.ticket.id,
        request_id=str(request_id),
        request_hash=request_hash(payload, path),
        payload=payload,
        correlation_id=str(request_id),
        submitted_at=opening.now,
    )
