"""The ticket's own timers: overdue is escalated, an expired hold rolled back (contract 16.1)."""

from typing import Any
from uuid import UUID, uuid4, uuid5

import structlog

from activities.clocks import judge
from activities.gathering import Connection
from activities.opening import Opening, open_ticket
from activities.recording import Recorder
from activities.views import nearest_of, ticket_view
from contracts.messages import TicketView, TimerFired
from contracts.names import TIMER_ACTOR_ID
from policy.bundle import Bundle
from policy.case import Case
from policy.command import Command, request_hash
from policy.effects import Effects
from policy.facts import Facts, HoldSnapshot
from policy.holds import HOLD_EXPIRED
from policy.model import Actor, ActorType, Role, State, Ticket
from policy.registry import command_tool
from policy.sla import HOLD_EXPIRY, Deadline, deadlines, sla_of
from policy.values import format_datetime

ROLLBACK = "schedule.rollback"
RAISE = """
INSERT INTO ticket_escalations (tenant_id, ticket_id, kind, level, due_at, raised_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (ticket_id, kind, level, due_at) DO NOTHING RETURNING id
"""
HOLD = """
SELECT id, hold_sequence_id, hold_state, scheduled_start, scheduled_end, hold_reason_notes,
       created_at
  FROM schedule_hold_snapshots WHERE ticket_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1
"""
log = structlog.get_logger()


async def hold_of(conn: Connection, ticket: Ticket) -> HoldSnapshot | None:
    """Return the hold that the ticket rests in, or None."""
    if ticket.state is not State.PENDING_CUSTOMER_CONFIRMATION:
        return None
    row = await conn.fetchrow(HOLD, ticket.id)
    return HoldSnapshot(**row) if row else None


def passed(bundle: Bundle, opening: Opening, hold: HoldSnapshot | None) -> frozenset[Deadline]:
    """Return every deadline of the ticket as it was before."""
    if opening.ticket is None:
        return frozenset()
    before = deadlines(bundle, opening.ticket, opening.rests_since, hold, opening.clock)
    return frozenset(before)


async def ring(conn: Connection, bundle: Bundle, fired: TimerFired) -> TicketView | None:
    """See to everything that is due on a ticket, each once; return the ticket as it stands."""
    opening = await open_ticket(conn, fired.tenant_id, None, fired.ticket_id)
    if opening.ticket is None:
        return None
    hold = await hold_of(conn, opening.ticket)
    ahead = passed(bundle, opening, hold)
    ticket, since = opening.ticket, opening.rests_since
    for due in sorted(ahead, key=lambda deadline: deadline.due_at):
        if due.due_at > opening.now:
            continue
        if due.kind != HOLD_EXPIRY:
            await _escalate(conn, fired, opening, due)
        elif hold is not None:
            ticket, since = await _expire(conn, bundle, opening, hold), opening.now
            hold = None
    clock = opening.clock and (await judge(conn, bundle, ticket.id) or opening.clock)
    left = nearest_of(deadlines(bundle, ticket, since, hold, clock), opening.now, ahead)
    return ticket_view(bundle, ticket, sla_of(bundle, ticket, opening.now, clock), left)


async def _escalate(conn: Connection, fired: TimerFired, opening: Opening, due: Deadline) -> None:
    values = (fired.tenant_id, fired.ticket_id, due.kind, due.level, due.due_at, opening.now)
    if await conn.fetchval(RAISE, *values) is not None:
        log.warning(
            "ticket.escalated",
            ticket_id=str(fired.ticket_id),
            kind=due.kind,
            level=due.level,
            due_at=format_datetime(due.due_at),
        )


async def _expire(conn: Connection, bundle: Bundle, opening: Opening, hold: HoldSnapshot) -> Ticket:
    """Roll the hold back as schedule.rollback would, in the name of the timer."""
    command = _expiry_command(bundle, opening, hold)
    payload = command_tool(ROLLBACK).payload.model_validate(command.payload)
    facts = Facts(
        now=opening.now,
        ticket=opening.ticket,
        audit_id=uuid4(),
        new_ids=(uuid4(), uuid4()),
        clock=opening.clock,
        hold=hold,
    )
    case = Case(bundle, bundle.tools[ROLLBACK], command, facts, payload)
    decision = command_tool(ROLLBACK).decide(case)
    if not isinstance(decision, Effects) or decision.ticket is None:
        raise RuntimeError(f"hold {hold.hold_sequence_id} cannot be rolled back: {decision}")
    recorder = Recorder(conn, bundle, command)
    await recorder.allow(facts, decision, opening.chain, keep_answer=False)
    return decision.ticket


def _expiry_command(bundle: Bundle, opening: Opening, hold: HoldSnapshot) -> Command:
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
