"""What automation may do, and how that came about (contract 10.4)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.reads.tools import ReadRequest
from api.reads.view import reading, visible_ticket
from policy.autonomy.control import autonomy_shape
from policy.autonomy.verdict import MOST_SPECIFIC_FIRST
from policy.autonomy.writes import UpsertAutonomy
from policy.values import format_datetime, identifier, instant
from runtime.postgres.pool import Connection, Pool

CONTROLS = """
SELECT id, scope_type, incident_type, ticket_id, is_paused, reason, actor_type::text, actor_id,
       actor_role, request_id, correlation_id, trace_id, created_at, updated_at
  FROM autonomy_control_state
 ORDER BY array_position($1::text[], scope_type), updated_at DESC, id DESC
"""
HISTORY = """
SELECT id, scope_type, incident_type, ticket_id, action, previous_is_paused, next_is_paused,
       actor_type::text, actor_id, actor_role, request_id, correlation_id, trace_id, reason,
       payload, created_at
  FROM autonomy_control_history
 WHERE scope_type = 'GLOBAL' OR ticket_id = $1
    OR (scope_type = 'INCIDENT' AND upper(incident_type) = upper($2))
 ORDER BY created_at DESC, id DESC
"""
NO_ROW = {
    "scope_type": None,
    "incident_type": None,
    "ticket_id": None,
    "is_paused": False,
    "reason": None,
}


class AutonomyReads:
    """Reads autonomy controls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self, request: ReadRequest) -> dict[str, Any]:
        """Return all controls, and for a ticket which of them decides."""
        ticket_id, given = request.query.ticket_id(), request.query.text("incident_type")
        incident_type, matching = given, []
        async with reading(self._pool, request.actor) as conn:
            if ticket_id is not None:
                ticket, *_ = await visible_ticket(conn, request.actor, ticket_id)
                incident_type = given or ticket.incident_type
            controls = await _controls(conn)
        if ticket_id is not None:
            matching = _matching(controls, ticket_id, incident_type)
        return {
            "generated_at": format_datetime(datetime.now(UTC)),
            "controls": [autonomy_shape(row) for row in controls],
            "decision": None if ticket_id is None else _decision(matching),
            "chain": [_link(row) for row in matching],
            "query": {
                "ticket_id": identifier(ticket_id),
                "incident_type": None if given is None else given.upper(),
            },
        }

    async def replay(self, request: ReadRequest) -> dict[str, Any]:
        """Return how the decision for a ticket came about."""
        async with reading(self._pool, request.actor) as conn:
            ticket, *_ = await visible_ticket(conn, request.actor, request.subject)
            controls = await _controls(conn)
            history = await conn.fetch(HISTORY, ticket.id, ticket.incident_type or "")
        matching = _matching(controls, ticket.id, ticket.incident_type)
        return {
            "generated_at": format_datetime(datetime.now(UTC)),
            "ticket_id": str(ticket.id),
            "incident_type": ticket.incident_type,
            "decision": _decision(matching),
            "chain": [_link(row) for row in matching],
            "controls": [autonomy_shape(row) for row in matching],
            "history": [_change(dict(row)) for row in history],
        }


async def _controls(conn: Connection) -> list[UpsertAutonomy]:
    rows = await conn.fetch(CONTROLS, MOST_SPECIFIC_FIRST)
    return [UpsertAutonomy(**row) for row in rows]


def _matching(
    controls: Sequence[UpsertAutonomy], ticket_id: UUID, incident_type: str | None
) -> list[UpsertAutonomy]:
    """Return the controls that cover a ticket, the most specific first."""
    subject = {
        "TICKET": str(ticket_id),
        "INCIDENT": (incident_type or "").upper(),
        "GLOBAL": "",
    }
    return [row for row in controls if _covered(row) == subject[row.scope_type]]


def _covered(row: UpsertAutonomy) -> str:
    return str(row.ticket_id) if row.ticket_id else (row.incident_type or "").upper()


def _decision(matching: Sequence[UpsertAutonomy]) -> dict[str, Any]:
    return _verdict(matching[0]) if matching else dict(NO_ROW)


def _verdict(row: UpsertAutonomy) -> dict[str, Any]:
    return {
        "scope_type": row.scope_type,
        "incident_type": row.incident_type,
        "ticket_id": identifier(row.ticket_id),
        "is_paused": row.is_paused,
        "reason": row.reason,
    }


def _link(row: UpsertAutonomy) -> dict[str, Any]:
    return {
        **_verdict(row),
        "actor_role": row.actor_role,
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
    }


def _change(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "id": str(row["id"]),
        "ticket_id": identifier(row["ticket_id"]),
        "request_id": str(row["request_id"]),
        "created_at": instant(row["created_at"]),
    }
