"""The reads of a ticket and of commands, from Postgres only (contract 3.4, 10.1)."""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from api.errors import ApiError
from policy.access import scope_denial
from policy.bundle import Bundle
from policy.codes import Code
from policy.facts import Evidence
from policy.model import Actor, Role, Ticket
from policy.shapes import evidence_shape, instant, ticket_shape, timeline_shape
from runtime.database import Connection, Pool

SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
TICKET = "SELECT t.*, now() AS read_at FROM tickets t WHERE id = $1"
TIMELINE = """
SELECT id, ticket_id, actor_type::text, actor_id, actor_role, tool_name, request_id,
       correlation_id, trace_id, before_state::text, after_state::text, payload, created_at,
       tenant_id, command_id, seq, policy_bundle_sha256, prev_hash, hash
  FROM audit_events WHERE ticket_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
EVIDENCE = """
SELECT id, ticket_id, kind, uri, checksum, metadata, created_by, created_at, content_type,
       size_bytes, object_version_id, retention_until, is_immutable, immutable_reason,
       immutable_by, immutable_at
  FROM evidence_items
 WHERE ticket_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
 ORDER BY created_at, id LIMIT $4
"""
COMMAND = """
SELECT c.command_id, c.tool_name, c.ticket_id, c.actor_id, c.decision, c.response_code,
       c.response_text, c.submitted_at, c.decided_at, t.account_id, t.site_id
  FROM command_log c LEFT JOIN tickets t ON t.id = c.ticket_id
 WHERE c.command_id = $1
"""
UNPAGED = 10_000
PAGE_LIMIT = 1000
SUPERVISORS = frozenset({Role.DISPATCHER, Role.OPS, Role.AUDIT, Role.ADMIN})
STATUS = {None: "accepted", "ALLOW": "succeeded", "DENY": "rejected"}


class Reads:
    """What can be read of tickets and commands. Rows of another tenant do not exist."""

    def __init__(self, pool: Pool, bundle: Bundle) -> None:
        self._pool = pool
        self._bundle = bundle

    async def ticket(self, actor: Actor, ticket_id: UUID) -> dict[str, Any]:
        """Return T."""
        async with self._reading(actor) as conn:
            ticket, read_at = await visible_ticket(conn, actor, ticket_id)
        return ticket_shape(self._bundle, ticket, read_at)

    async def timeline(
        self, actor: Actor, ticket_id: UUID, query: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the audit events of a ticket in order of seq."""
        limit, after = page_of(query)
        seq = _member(after, "seq", int) if after else 0
        async with self._reading(actor) as conn:
            await visible_ticket(conn, actor, ticket_id)
            rows = await conn.fetch(TIMELINE, ticket_id, seq, limit + 1)
        events = [{**timeline_shape(dict(row)), "hash": row["hash"]} for row in rows[:limit]]
        cursor = {"seq": rows[limit - 1]["seq"]} if len(rows) > limit else None
        return {"ticket_id": str(ticket_id), "events": events, "next_cursor": encoded(cursor)}

    async def evidence(
        self, actor: Actor, ticket_id: UUID, query: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the evidence of a ticket, oldest first."""
        limit, after = page_of(query)
        at, last = None, None
        if after:
            at = _member(after, "at", lambda text: datetime.fromisoformat(str(text)))
            last = _member(after, "id", lambda text: UUID(str(text)))
        async with self._reading(actor) as conn:
            await visible_ticket(conn, actor, ticket_id)
            rows = await conn.fetch(EVIDENCE, ticket_id, at, last, limit + 1)
        cursor = None
        if len(rows) > limit:
            newest = rows[limit - 1]
            cursor = {"at": newest["created_at"].isoformat(), "id": str(newest["id"])}
        return {
            "ticket_id": str(ticket_id),
            "evidence": [evidence_shape(Evidence(**row)) for row in rows[:limit]],
            "next_cursor": encoded(cursor),
        }

    async def command(self, actor: Actor, command_id: UUID) -> dict[str, Any]:
        """Return what became of a command, to its submitter and within scope to supervisors."""
        async with self._reading(actor) as conn:
            row = await conn.fetchrow(COMMAND, command_id)
        if row is None or not _may_see(actor, dict(row)):
            raise ApiError(Code.COMMAND_NOT_FOUND)
        text = row["response_text"]
        return {
            "command_id": str(row["command_id"]),
            "tool_name": row["tool_name"],
            "ticket_id": None if row["ticket_id"] is None else str(row["ticket_id"]),
            "status": STATUS[row["decision"]],
            "response_code": row["response_code"],
            "response_body": None if text is None else orjson.Fragment(text),
            "submitted_at": instant(row["submitted_at"]),
            "decided_at": instant(row["decided_at"]),
        }

    @asynccontextmanager
    async def _reading(self, actor: Actor) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute(SET_TENANT, actor.tenant_id)
            yield conn


async def visible_ticket(
    conn: Connection, actor: Actor, ticket_id: UUID
) -> tuple[Ticket, datetime]:
    """Return the ticket and the instant of reading; raise 404, or 403 outside the scope."""
    row = await conn.fetchrow(TICKET, ticket_id)
    if row is None:
        raise ApiError(Code.TICKET_NOT_FOUND)
    denial = scope_denial(actor, row["account_id"], row["site_id"])
    if denial is not None:
        raise ApiError(denial.code, details=denial.details)
    ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
    return ticket, row["read_at"]


def page_of(query: Mapping[str, str]) -> tuple[int, dict[str, Any] | None]:
    """Return limit and decoded cursor of a list's query, or raise 400 INVALID_QUERY."""
    text = query.get("limit")
    limit = UNPAGED
    if text is not None:
        limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0  # noqa: PLR2004  1000 has four digits
        if not 1 <= limit <= PAGE_LIMIT:
            raise invalid_query("limit")
    cursor = query.get("cursor")
    return limit, None if cursor is None else decoded(cursor)


def encoded(position: Mapping[str, Any] | None) -> str | None:
    """Return an opaque cursor of a position, None at the end."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decoded(cursor: str) -> dict[str, Any]:
    """Return the position of a cursor, or raise 400 INVALID_QUERY."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = orjson.loads(raw)
    except (ValueError, binascii.Error):
        raise invalid_query("cursor") from None
    if not isinstance(position, dict):
        raise invalid_query("cursor")
    return position


def invalid_query(parameter: str) -> ApiError:
    """Return 400 INVALID_QUERY for a parameter."""
    return ApiError(Code.INVALID_QUERY, details={"parameter": parameter})


def _member(position: Mapping[str, Any], name: str, read: Any) -> Any:  # noqa: ANN401  a parser
    try:
        return read(position[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise invalid_query("cursor") from None


def _may_see(actor: Actor, row: Mapping[str, Any]) -> bool:
    if row["actor_id"] == actor.actor_id:
        return True
    if actor.actor_role not in SUPERVISORS:
        return False
    if row["account_id"] is None:
        return True
    return scope_denial(actor, row["account_id"], row["site_id"]) is None
