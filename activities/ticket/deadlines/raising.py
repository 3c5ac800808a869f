"""A ticket's ladders in Postgres: what was raised, what is raised now, when to look again."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

import structlog

from activities.ticket.facts import Ladders
from policy.deadlines.history import Escalation
from policy.deadlines.steps import Step, lateness_ms, messages
from policy.local_time import Place
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.values import format_datetime
from runtime.postgres.pool import Connection

RAISE = """
WITH doc AS (SELECT $1::jsonb AS d),
raised AS (
    INSERT INTO ticket_escalations (id, tenant_id, ticket_id, kind, level, due_at, raised_at,
                                    details)
    SELECT r.id, r.tenant_id, r.ticket_id, r.kind, r.level, r.due_at, r.raised_at, r.details
      FROM doc, jsonb_populate_recordset(NULL::ticket_escalations, d->'raised') r
    ON CONFLICT (ticket_id, kind, level, due_at) DO NOTHING
),
told AS (
    INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                                 idempotency_key, next_attempt_at)
    SELECT r.tenant_id, r.aggregate_type, r.aggregate_id, r.event_type, r.payload,
           r.idempotency_key, r.next_attempt_at
      FROM doc, jsonb_populate_recordset(NULL::dispatch_outbox, d->'messages') r
    ON CONFLICT (idempotency_key) DO NOTHING
)
INSERT INTO ticket_deadlines (ticket_id, tenant_id, due_at, known_at)
SELECT r.ticket_id, r.tenant_id, r.due_at, r.known_at
  FROM doc, jsonb_populate_record(NULL::ticket_deadlines, d->'deadline') r
ON CONFLICT (ticket_id) DO UPDATE SET due_at = excluded.due_at, known_at = excluded.known_at
"""
SOONER = """
INSERT INTO ticket_deadlines AS n (ticket_id, tenant_id, due_at, known_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (ticket_id) DO UPDATE SET due_at = excluded.due_at, known_at = excluded.known_at
 WHERE n.due_at IS NULL OR excluded.due_at < n.due_at
"""
log = structlog.get_logger()


class Look(NamedTuple):
    """What a look at a ticket found: what is raised, by which detector, when to look again."""

    ticket: Ticket
    place: Place
    raised: tuple[Escalation, ...]
    detector: str
    next_look: datetime | None
    at: datetime


def raised_now(steps: Iterable[Step], ladders: Ladders, now: datetime) -> tuple[Escalation, ...]:
    """Return the escalations that the steps become."""
    return tuple(
        Escalation(
            id=uuid4(),
            kind=step.deadline.kind,
            level=step.deadline.level,
            due_at=step.deadline.due_at,
            raised_at=now,
            lateness_ms=lateness_ms(step, ladders.known_at, now),
        )
        for step in steps
    )


async def record(conn: Connection, bundle: Bundle, look: Look) -> None:
    """Write escalations, their messages and the next look in one statement, and log them."""
    ticket = look.ticket
    mine = {"tenant_id": ticket.tenant_id, "ticket_id": ticket.id}
    rows, told = [], []
    for each in look.raised:
        details = {"detector": look.detector, "lateness_ms": each.lateness_ms}
        columns = each.model_dump(include={"id", "kind", "level", "due_at", "raised_at"})
        rows.append({**mine, **columns, "details": details})
        for message, send_at in messages(bundle, ticket, each, look.place):
            columns = {"tenant_id": ticket.tenant_id, "next_attempt_at": send_at}
            told.append({**message.model_dump(), **columns})
    deadline = {**mine, "due_at": look.next_look, "known_at": look.at}
    await conn.execute(RAISE, {"raised": rows, "messages": told, "deadline": deadline})
    for each in look.raised:
        log.warning(
            "ticket.escalated",
            ticket_id=str(ticket.id),
            kind=each.kind,
            escalation_level=each.level,
            due_at=format_datetime(each.due_at),
        )
