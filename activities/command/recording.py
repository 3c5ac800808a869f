"""Recording: what a decision leaves behind, in one statement whatever the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from policy.audit.row import Chain, chained
from policy.command.effects import Denial, Effects
from policy.command.facts import Facts
from policy.command.message import Command
from policy.rules.bundle import Bundle
from policy.values import format_datetime
from runtime.postgres.pool import Connection

DOCUMENT = """
WITH doc AS MATERIALIZED (SELECT $1::jsonb AS d, $2::text AS reply, $2::text::jsonb AS reply_body),
"""
COMMON = """
audit AS (
    INSERT INTO audit_events
    SELECT r.* FROM doc, jsonb_populate_record(NULL::audit_events, d->'audit') r
     WHERE jsonb_typeof(d->'audit') = 'object'
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
TENANT_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tenant ' || $1, 0))"
TENANT_CHAIN = """
SELECT a.seq, a.hash, a.created_at, redaction_key()
  FROM (VALUES ($1)) t (id)
  LEFT JOIN LATERAL (SELECT seq, hash, created_at FROM audit_events
                      WHERE tenant_id = t.id AND ticket_id IS NULL
                      ORDER BY seq DESC LIMIT 1) a ON true
"""


def statement(*parts: str) -> str:
    """Return the one statement that records a command of a kind.

    Each part is a list of named queries (`name AS (...)`) that write the kind's own rows from the
    members that it adds to the document `d`; where one is absent or null it must write nothing.
    """
    return DOCUMENT + "".join(f"{part.strip()},\n" for part in parts) + COMMON.strip()


class Said(NamedTuple):
    """What the audit row of a command says of its subject; the ticket is that of its chain."""

    ticket_id: UUID | None = None
    before: str | None = None
    after: str | None = None


async def tenant_chain(conn: Connection, tenant_id: str) -> Chain:
    """Take the lock of a tenant's own chain and return its head.

    To be taken last: every command that is about no ticket waits for it.
    """
    await conn.execute(TENANT_LOCK, tenant_id)
    row = await conn.fetchrow(TENANT_CHAIN, tenant_id)
    if row is None:
        raise LookupError("a head is always returned")
    return Chain(*row)


@dataclass(frozen=True)
class Recorder:
    """Records the verdict on one command, in the transaction of `conn`.

    `statement` is the one of the command's kind.
    """

    conn: Connection
    bundle: Bundle
    command: Command
    statement: str

    async def allow(  # noqa: PLR0913  one argument for each thing that an allowed command leaves
        self,
        facts: Facts,
        effects: Effects,
        chain: Chain,
        said: Said,
        *,
        rows: Mapping[str, Any],
        body: Mapping[str, Any],
        keep_answer: bool = True,
    ) -> None:
        """Write the kind's `rows`, audit row, stored answer and log row of an allowed command.

        The answer is kept for a client that may repeat the key; a timer repeats nothing.
        """
        await self._record(
            rows,
            audit=self._audit_row(facts, effects, chain, said),
            keep_answer=keep_answer,
            answer=body,
            log={
                **self._log_row(facts.now),
                "ticket_id": self.command.ticket_id,
                "decision": "ALLOW",
                "counted": effects.counted,
                "response_code": self.bundle.tools[self.command.tool].success_status,
            },
        )

    async def deny(self, now: datetime, denial: Denial) -> None:
        """Write the log row of a denied command, and nothing else."""
        rule = self.bundle.tools.get(self.command.tool)
        refused_create = rule is not None and not rule.requires_ticket_id
        await self._record(
            {},
            audit=None,
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

    async def _record(
        self,
        rows: Mapping[str, Any],
        answer: Mapping[str, Any],
        **document: Any,  # noqa: ANN401  parts
    ) -> None:
        reply = orjson.dumps(answer).decode()
        await self.conn.execute(self.statement, {**rows, **document}, reply)

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

    def _audit_row(
        self, facts: Facts, effects: Effects, chain: Chain, said: Said
    ) -> dict[str, Any]:
        command, actor = self.command, self.command.actor
        event = {
            "id": facts.audit_id,
            "ticket_id": said.ticket_id,
            "actor_type": actor.actor_type.value,
            "actor_id": actor.actor_id,
            "actor_role": actor.actor_role.value,
            "tool_name": command.tool,
            "request_id": UUID(command.request_id),
            "correlation_id": command.correlation_id,
            "trace_id": command.trace_id,
            "before_state": said.before,
            "after_state": said.after,
            "payload": {
                "endpoint": command.endpoint,
                "requested_at": format_datetime(command.submitted_at),
                **({"request": command.payload} if effects.request_recorded else {}),
                **effects.audit,
            },
            "tenant_id": actor.tenant_id,
            "command_id": command.command_id,
            "policy_bundle_sha256": self.bundle.sha256,
        }
        return chained(event, chain, facts.now)
