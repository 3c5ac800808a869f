"""What a ticket's command leaves behind: its rows of the one statement, in whose chain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from activities.command.recording import Recorder, Said, statement
from policy.audit.row import Chain
from policy.command.message import Command
from policy.model import TERMINAL
from policy.rules.bundle import Bundle
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import TicketFacts
from policy.ticket.shape import ticket_shape
from runtime.postgres.pool import Connection

TICKET_ROWS = """
ticket AS (
    INSERT INTO tickets AS t
    SELECT r.* FROM doc, jsonb_populate_record(NULL::tickets, d->'ticket') r
     WHERE jsonb_typeof(d->'ticket') = 'object'
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state, priority = excluded.priority,
        incident_type = excluded.incident_type, nte_cents = excluded.nte_cents,
        sop_handoff_required = excluded.sop_handoff_required,
        sop_handoff_acknowledged = excluded.sop_handoff_acknowledged,
        scheduled_start = excluded.scheduled_start, scheduled_end = excluded.scheduled_end,
        assigned_provider_id = excluded.assigned_provider_id,
        assigned_tech_id = excluded.assigned_tech_id, version = excluded.version
),
transitions AS (
    INSERT INTO ticket_state_transitions (tenant_id, ticket_id, from_state, to_state,
                                          audit_event_id, created_at)
    SELECT d->'audit'->>'tenant_id', (d->'audit'->>'ticket_id')::uuid,
           (step->>0)::ticket_state, (step->>1)::ticket_state,
           (d->'audit'->>'id')::uuid, (d->'audit'->>'created_at')::timestamptz
      FROM doc, jsonb_array_elements(d->'pairs') WITH ORDINALITY AS pair (step, position)
     ORDER BY position
),
deadline AS (
    INSERT INTO ticket_deadlines AS n (ticket_id, tenant_id, due_at, known_at)
    SELECT r.ticket_id, d->'log'->>'tenant_id', r.due_at, r.known_at
      FROM doc, jsonb_populate_record(NULL::ticket_deadlines, d->'deadline') r
     WHERE jsonb_typeof(d->'deadline') = 'object'
    ON CONFLICT (ticket_id) DO UPDATE SET due_at = excluded.due_at, known_at = excluded.known_at
     WHERE excluded.due_at IS NULL OR n.due_at IS NULL OR excluded.due_at < n.due_at
)
"""
RECORD = statement(TICKET_ROWS)
TICKET_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))"
CHAIN = """
SELECT a.seq, a.hash, a.created_at, redaction_key()
  FROM (VALUES ($1::uuid)) t (id)
  LEFT JOIN LATERAL (SELECT seq, hash, created_at FROM audit_events WHERE ticket_id = t.id
                      ORDER BY seq DESC LIMIT 1) a ON true
"""


async def chain_of(conn: Connection, ticket_id: UUID) -> Chain:
    """Take a ticket's lock and return the head of its chain, for a tool that runs without it."""
    await conn.execute(TICKET_LOCK, ticket_id)
    row = await conn.fetchrow(CHAIN, ticket_id)
    if row is None:
        raise LookupError("a head is always returned")
    return Chain(*row)


async def record_command(  # noqa: PLR0913, PLR0917  all that an allowed command leaves behind
    conn: Connection,
    bundle: Bundle,
    command: Command,
    facts: TicketFacts,
    effects: TicketEffects,
    chain: Chain,
    next_look: datetime | None = None,
    *,
    keep_answer: bool = True,
) -> None:
    """Write ticket, audit, transitions, stored answer and log row of an allowed command.

    The ticket is looked at again at `next_look`, or earlier if that was known before.
    """
    ticket, body = effects.ticket, effects.body
    if body is None and ticket is not None:
        body = ticket_shape(bundle, ticket, facts.now, facts.clock)
    is_changed = ticket is not None and ticket != facts.ticket
    await Recorder(conn, bundle, command, RECORD).allow(
        facts,
        effects.model_copy(update={"counted": {"transitions": effects.pairs, **effects.counted}}),
        chain,
        Said(
            ticket_id=effects.audit_ticket_id if ticket is None else ticket.id,
            before=effects.before,
            after=None if ticket is None else ticket.state,
        ),
        rows={
            "ticket": ticket.model_dump(mode="json") if ticket and is_changed else None,
            "pairs": effects.pairs,
            "deadline": _deadline(facts, effects, next_look),
        },
        body=dict(body or {}),
        keep_answer=keep_answer,
    )


def _deadline(
    facts: TicketFacts, effects: TicketEffects, next_look: datetime | None
) -> dict[str, Any] | None:
    """Return the row of the ticket's next look, or None if that stays as it is."""
    ticket = effects.ticket
    is_over = ticket is not None and ticket.state in TERMINAL
    if ticket is None or (next_look is None and not is_over):
        return None
    return {"ticket_id": ticket.id, "due_at": next_look, "known_at": facts.now}
