"""Recording: what a decision leaves behind, in one statement whatever the verdict."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from policy.audit.row import Chain, chained
from policy.command.effects import Denial, Effects
from policy.command.message import Command
from policy.model import TERMINAL
from policy.rules.bundle import Bundle
from policy.ticket.facts import Facts
from policy.ticket.shape import ticket_shape
from policy.values import format_datetime
from runtime.postgres.pool import Connection

RECORD = """
WITH doc AS MATERIALIZED (SELECT $1::jsonb AS d, $2::text AS reply, $2::text::jsonb AS reply_body),
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
audit AS (
    INSERT INTO audit_events
    SELECT r.* FROM doc, jsonb_populate_record(NULL::audit_events, d->'audit') r
     WHERE jsonb_typeof(d->'audit') = 'object'
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
),
answer AS (
    INSERT INTO idempotency_keys (tenant_id, actor_id, endpoint, request_id, request_hash,
                                  response_code, response_body, command_id)
    SELECT r.tenant_id, r.actor_id, r.endpoint, r.request_id, r.request_hash,
           r.response_code, reply_body, r.command_id
      FROM doc, jsonb_populate_record(NULL::command_log, d->'log') r
     WHERE (d->>'keep_answer')::boolean
),
payload AS (
    DELETE FROM command_payloads p USING doc WHERE p.command_id = (d->'log'->>'command_id')::uuid
),
log AS (
    INSERT INTO command_log AS c (
           command_id, tenant_id, ticket_id, tool_name, endpoint, actor_type, actor_id, actor_role,
           request_id, request_hash, decision, code, dimension, response_code, response_body,
           response_text, counted, correlation_id, trace_id, policy_bundle_version,
           policy_bundle_sha256, submitted_at, decided_at)
    SELECT r.command_id, r.tenant_id, r.ticket_id, r.tool_name, r.endpoint, r.actor_type,
           r.actor_id, r.actor_role, r.request_id, r.request_hash, r.decision, r.code, r.dimension,
           r.response_code, reply_body, reply, r.counted, r.correlation_id, r.trace_id,
           r.policy_bundle_version, r.policy_bundle_sha256, r.submitted_at, r.decided_at
      FROM doc, jsonb_populate_record(NULL::command_log, d->'log') r
    ON CONFLICT (command_id) DO UPDATE SET
        ticket_id = excluded.ticket_id, decision = excluded.decision, code = excluded.code,
        dimension = excluded.dimension, response_code = excluded.response_code,
        response_body = excluded.response_body, response_text = excluded.response_text,
        counted = excluded.counted,
        correlation_id = excluded.correlation_id, trace_id = excluded.trace_id,
        policy_bundle_version = excluded.policy_bundle_version,
        policy_bundle_sha256 = excluded.policy_bundle_sha256, decided_at = excluded.decided_at
    WHERE c.decided_at IS NULL
)
SELECT pg_notify('command', d->'log'->>'command_id') FROM doc
"""
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


@dataclass(frozen=True)
class Recorder:
    """Records the verdict on one command, in the transaction of `conn`."""

    conn: Connection
    bundle: Bundle
    command: Command

    async def allow(
        self,
        facts: Facts,
        effects: Effects,
        chain: Chain,
        next_look: datetime | None = None,
        *,
        keep_answer: bool = True,
    ) -> None:
        """Write ticket, audit, transitions, stored answer and log row of an allowed command.

        The answer is kept for a client that may repeat the key; a timer repeats nothing. The
        ticket is looked at again at `next_look`, or earlier if that was known before.
        """
        body = effects.body
        if body is None and effects.ticket is not None:
            body = ticket_shape(self.bundle, effects.ticket, facts.now, facts.clock)
        ticket = None
        if effects.ticket is not None and effects.ticket != facts.ticket:
            ticket = {"currency": "USD", **effects.ticket.model_dump(mode="json")}
        await self._record(
            ticket=ticket,
            audit=_audit_row(self.bundle, self.command, facts, effects, chain),
            pairs=effects.pairs,
            deadline=_deadline(facts, effects, next_look),
            keep_answer=keep_answer,
            answer=dict(body or {}),
            log={
                **self._log_row(facts.now),
                "ticket_id": self.command.ticket_id,
                "decision": "ALLOW",
                "counted": _counted(effects),
                "response_code": self.bundle.tools[self.command.tool].success_status,
            },
        )

    async def deny(self, now: datetime, denial: Denial) -> None:
        """Write the log row of a denied command, and nothing else."""
        rule = self.bundle.tools.get(self.command.tool)
        refused_create = rule is not None and not rule.requires_ticket_id
        await self._record(
            ticket=None,
            audit=None,
            pairs=(),
            deadline=None,
            keep_answer=False,
            answer=denial.body(self.command.request_id, self.command.correlation_id),
            log={
                **self._log_row(now),
                "ticket_id": None if refused_create else self.command.ticket_id,
                "decision": "DENY",
                "code": denial.code,
                "dimension": denial.dimension,
                "response_code": denial.status,
            },
        )

    async def _record(self, answer: dict[str, Any], **document: Any) -> None:  # noqa: ANN401  parts
        await self.conn.execute(RECORD, document, orjson.dumps(answer).decode())

    def _log_row(self, now: datetime) -> dict[str, Any]:
        command = self.command
        return {
            "command_id": command.command_id,
            "tenant_id": command.actor.tenant_id,
            "tool_name": command.tool,
            "endpoint": command.endpoint,
            "actor_type": command.actor.actor_type,
            "actor_id": command.actor.actor_id,
            "actor_role": command.actor.actor_role,
            "request_id": UUID(command.request_id),
            "request_hash": command.request_hash,
            "correlation_id": command.correlation_id,
            "trace_id": command.trace_id,
            "policy_bundle_version": self.bundle.version,
            "policy_bundle_sha256": self.bundle.sha256,
            "submitted_at": command.submitted_at,
            "decided_at": now,
        }


def _counted(effects: Effects) -> dict[str, Any]:
    """Return what the command counts as in the gateway's metrics (contract 15.2)."""
    dispatched = effects.audit.get("dispatch_validation") or {}
    return {
        "transitions": effects.pairs,
        "override_code": effects.audit.get("override_code"),
        "snapshot_id": dispatched.get("recommendation_snapshot_id"),
    }


def _deadline(facts: Facts, effects: Effects, next_look: datetime | None) -> dict[str, Any] | None:
    """Return the row of the ticket's next look, or None if that stays as it is."""
    ticket = effects.ticket
    is_over = ticket is not None and ticket.state in TERMINAL
    if ticket is None or (next_look is None and not is_over):
        return None
    return {"ticket_id": ticket.id, "due_at": next_look, "known_at": facts.now}


def _audit_row(
    bundle: Bundle, command: Command, facts: Facts, effects: Effects, chain: Chain
) -> dict[str, Any]:
    ticket = effects.ticket
    event = {
        "id": facts.audit_id,
        "ticket_id": effects.audit_ticket_id if ticket is None else ticket.id,
        "actor_type": command.actor.actor_type.value,
        "actor_id": command.actor.actor_id,
        "actor_role": command.actor.actor_role.value,
        "tool_name": command.tool,
        "request_id": UUID(command.request_id),
        "correlation_id": command.correlation_id,
        "trace_id": command.trace_id,
        "before_state": effects.before,
        "after_state": None if ticket is None else ticket.state,
        "payload": _audit_payload(command, effects),
        "tenant_id": command.actor.tenant_id,
        "command_id": command.command_id,
        "policy_bundle_sha256": bundle.sha256,
    }
    return chained(event, chain, facts.now)


def _audit_payload(command: Command, effects: Effects) -> dict[str, Any]:
    return {
        "endpoint": command.endpoint,
        "requested_at": format_datetime(command.submitted_at),
        **({"request": command.payload} if effects.request_recorded else {}),
        **effects.audit,
    }
