"""Gathering the facts that a tool asks for, under the lock of its ticket."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import asyncpg

from policy.case import Need
from policy.command import Command
from policy.facts import (
    Approval,
    AutonomyRow,
    CompletionContext,
    Evidence,
    PastTransition,
    Site,
    Snapshot,
    Technician,
)
from policy.model import Ticket

if TYPE_CHECKING:  # generic in the stubs only
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Found: TypeAlias = Mapping[str, Any]

PLACE = """
SELECT EXISTS (SELECT FROM accounts WHERE id = $1) AS account_exists,
       s.id, s.account_id, s.region, s.timezone, a.site_id AS asset_site_id
  FROM (SELECT) one
  LEFT JOIN sites s ON s.id = $2
  LEFT JOIN assets a ON a.id = $3
"""
SITE = "SELECT id, account_id, region, timezone FROM sites WHERE id = $1"
TECHNICIAN = """
SELECT t.id, t.name, t.active, t.home_region,
       ARRAY(SELECT skill FROM technician_skills WHERE technician_id = t.id) AS skills,
       ARRAY(SELECT region FROM technician_regions WHERE technician_id = t.id) AS regions
  FROM technicians t WHERE t.id = $1
"""
SNAPSHOT = """
SELECT recommendation_snapshot_id, recommended_tech_id
  FROM assignment_recommendation_snapshots
 WHERE ticket_id = $1 AND recommendation_snapshot_id = $2
"""
APPROVAL = """
SELECT id, status::text, evidence->>'return_state' AS return_state
  FROM approvals WHERE ticket_id = $1 AND id = $2
"""
PENDING_APPROVALS = """
SELECT id FROM approvals WHERE ticket_id = $1 AND status = 'PENDING' ORDER BY created_at, id
"""
EVIDENCE = """
SELECT id, ticket_id, kind, uri, checksum, metadata, created_by, created_at, content_type,
       size_bytes, object_version_id, retention_until, is_immutable, immutable_reason,
       immutable_by, immutable_at
  FROM evidence_items WHERE ticket_id = $1 ORDER BY created_at, id
"""
EXCEPTIONS = """
SELECT DISTINCT unnest(evidence_keys) AS key FROM evidence_exceptions
 WHERE ticket_id = $1 AND granted_role IN ('qa', 'approver') AND expires_at > now()
"""
COMPLETION = """
SELECT tool_name, payload->'request' AS request FROM audit_events
 WHERE ticket_id = $1 AND after_state = 'COMPLETED_PENDING_VERIFICATION'
   AND tool_name IN ('tech.complete', 'closeout.candidate', 'dispatch.manual_bypass')
 ORDER BY seq DESC LIMIT 1
"""
AUTONOMY = """
SELECT scope_type, incident_type, ticket_id, is_paused, reason FROM autonomy_control_state
 WHERE scope_type = 'GLOBAL' OR ticket_id = $1
    OR (scope_type = 'INCIDENT' AND upper(incident_type) = upper($2))
"""
EARLIER_CONFIRMATIONS = """
SELECT count(*) FROM audit_events
 WHERE ticket_id = $1 AND tool_name = 'schedule.confirm'
   AND payload->'confirmation_window' = $2
"""
TRANSITIONS = """
SELECT from_state::text, to_state::text, created_at AS occurred_at
  FROM ticket_state_transitions WHERE ticket_id = $1 ORDER BY seq
"""


@dataclass(frozen=True)
class Gathering:
    """One command's gathering: a method per need, named after it, returns fields of `Facts`."""

    conn: Connection
    command: Command
    payload: Any
    ticket: Ticket | None

    async def gather(self, needs: Iterable[Need]) -> dict[str, Any]:
        """Return the fields of `Facts` for everything in `needs`; look-ups are made elsewhere."""
        found: dict[str, Any] = {}
        for need in sorted(set(needs) - {Need.LOOK_UPS}):
            found.update(await getattr(self, need)())
        return found

    async def place(self) -> Found:
        """Return the account, site and asset that the payload names."""
        asset_id = getattr(self.payload, "asset_id", None)
        row = await self.conn.fetchrow(
            PLACE, self.payload.account_id, self.payload.site_id, asset_id
        )
        fields = dict(row or {})
        account_exists, asset_site_id = fields.pop("account_exists"), fields.pop("asset_site_id")
        site = Site(**fields) if fields["id"] else None
        return {"account_exists": account_exists, "site": site, "asset_site_id": asset_site_id}

    async def site(self) -> Found:
        """Return the ticket's site."""
        row = await self.conn.fetchrow(SITE, self.ticket.site_id) if self.ticket else None
        return {"site": Site(**row) if row else None}

    async def technician(self) -> Found:
        """Return the technician that the payload names."""
        row = await self.conn.fetchrow(TECHNICIAN, self.payload.tech_id)
        return {"technician": Technician(**row) if row else None}

    async def snapshot(self) -> Found:
        """Return the recommendation that the payload names."""
        wanted = self.payload.recommendation_snapshot_id
        if wanted is None:
            return {}
        row = await self.conn.fetchrow(SNAPSHOT, self.command.ticket_id, wanted)
        return {"snapshot": Snapshot(**row) if row else None}

    async def approval(self) -> Found:
        """Return the approval that the payload names."""
        row = await self.conn.fetchrow(APPROVAL, self.command.ticket_id, self.payload.approval_id)
        return {"approval": Approval(**row) if row else None}

    async def pending_approvals(self) -> Found:
        """Return the ids of the ticket's pending approvals."""
        rows = await self.conn.fetch(PENDING_APPROVALS, self.command.ticket_id)
        return {"pending_approvals": tuple(row["id"] for row in rows)}

    async def evidence(self) -> Found:
        """Return the ticket's evidence and the keys that exceptions satisfy."""
        excepted = await self.conn.fetch(EXCEPTIONS, self.command.ticket_id)
        return {
            "evidence": await evidence_of(self.conn, self.command.ticket_id),
            "excepted_keys": frozenset(row["key"] for row in excepted),
        }

    async def completion(self) -> Found:
        """Return the newest completion context."""
        row = await self.conn.fetchrow(COMPLETION, self.command.ticket_id)
        if row is None:
            return {"completion": None}
        context = CompletionContext(tool_name=row["tool_name"], request=row["request"] or {})
        return {"completion": context}

    async def autonomy(self) -> Found:
        """Return the autonomy rows that match the ticket."""
        incident_type = (self.ticket.incident_type if self.ticket else None) or ""
        rows = await self.conn.fetch(AUTONOMY, self.command.ticket_id, incident_type)
        return {"autonomy": tuple(AutonomyRow(**row) for row in rows)}

    async def earlier_confirmations(self) -> Found:
        """Return how often the payload's window was confirmed before."""
        window = self.payload.answer()
        count = await self.conn.fetchval(EARLIER_CONFIRMATIONS, self.command.ticket_id, window)
        return {"earlier_confirmations": count}

    async def transitions(self) -> Found:
        """Return the ticket's transitions, oldest first."""
        rows = await self.conn.fetch(TRANSITIONS, self.command.ticket_id)
        return {"transitions": tuple(PastTransition(**row) for row in rows)}


async def evidence_of(conn: Connection, ticket_id: UUID | None) -> tuple[Evidence, ...]:
    """Return all evidence of a ticket, oldest first."""
    return tuple(Evidence(**row) for row in await conn.fetch(EVIDENCE, ticket_id))
