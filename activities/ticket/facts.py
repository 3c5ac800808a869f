"""Gathering the facts that a tool asks for, under the lock of its ticket."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from activities.command.gathering import Found, Gathering
from activities.ticket import statements
from activities.ticket.rosters import Rosters
from contracts.statements import AUTONOMY, COMPLETION, EXCEPTIONS, NEWEST_HOLD
from policy.assignment.ranking import normalised_service
from policy.assignment.roster import Hours, RosterEntry, Technician
from policy.autonomy.model import AutonomyControl, AutonomyRow
from policy.clock.ticket_clock import read_clock
from policy.deadlines.history import Past
from policy.deadlines.hold_notes import HoldSnapshot
from policy.delivery.rows import OutboxRow
from policy.local_time import Place, place_of
from policy.model import Site, Ticket
from policy.ticket.facts import (
    Approval,
    CompletionContext,
    Duplicate,
    NamedTicket,
    PastTransition,
    Snapshot,
)
from records.evidence.rows import evidence_of, twin_of, upload_of
from runtime.postgres.pool import Connection


@dataclass(frozen=True)
class TicketGathering(Gathering):
    """A ticket command's gathering; fields are those of `TicketFacts`."""

    ticket: Ticket | None
    rosters: Rosters

    async def place(self) -> Found:
        """Return the account, site and asset that the payload names."""
        asset_id = getattr(self.payload, "asset_id", None)
        row = await self.conn.fetchrow(
            statements.PLACE, self.payload.account_id, self.payload.site_id, asset_id
        )
        fields = dict(row or {})
        account_exists, asset_site_id = fields.pop("account_exists"), fields.pop("asset_site_id")
        clock = read_clock(fields.pop("clock"))
        site = Site(**fields) if fields["id"] else None
        return {
            "account_exists": account_exists,
            "site": site,
            "asset_site_id": asset_site_id,
            "clock": clock,
        }

    async def site(self) -> Found:
        """Return the ticket's site."""
        row = (
            await self.conn.fetchrow(statements.SITE, self.ticket.site_id) if self.ticket else None
        )
        return {"site": Site(**row) if row else None}

    async def technician(self) -> Found:
        """Return the technician that the payload names."""
        row = await self.conn.fetchrow(statements.TECHNICIAN, self.payload.tech_id)
        return {"technician": Technician(**row) if row else None}

    async def assigned_phone(self) -> Found:
        """Return where the technician is told, who the ticket is assigned to."""
        tech_id = self.ticket.assigned_tech_id if self.ticket else None
        return {"assigned_phone": await self.conn.fetchval(statements.ASSIGNED_PHONE, tech_id)}

    async def snapshot(self) -> Found:
        """Return the recommendation that the payload names."""
        wanted = self.payload.recommendation_snapshot_id
        if wanted is None:
            return {}
        row = await self.conn.fetchrow(statements.SNAPSHOT, self.command.ticket_id, wanted)
        return {"snapshot": Snapshot(**row) if row else None}

    async def approval(self) -> Found:
        """Return the approval that the payload names."""
        row = await self.conn.fetchrow(
            statements.APPROVAL, self.command.ticket_id, self.payload.approval_id
        )
        return {"approval": Approval(**row) if row else None}

    async def pending_approvals(self) -> Found:
        """Return the ids of the ticket's pending approvals."""
        rows = await self.conn.fetch(statements.PENDING_APPROVALS, self.command.ticket_id)
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
        incident_type = ((self.ticket.incident_type if self.ticket else None) or "").strip().upper()
        rows = await self.conn.fetch(AUTONOMY, self.command.ticket_id, incident_type)
        return {"autonomy": tuple(AutonomyRow(**row) for row in rows)}

    async def earlier_confirmations(self) -> Found:
        """Return how often the payload's window was confirmed before."""
        window = self.payload.answer()
        count = await self.conn.fetchval(
            statements.EARLIER_CONFIRMATIONS, self.command.ticket_id, window
        )
        return {"earlier_confirmations": count}

    async def transitions(self) -> Found:
        """Return the ticket's transitions, oldest first."""
        rows = await self.conn.fetch(statements.TRANSITIONS, self.command.ticket_id)
        return {"transitions": tuple(PastTransition(**row) for row in rows)}

    async def duplicate(self) -> Found:
        """Return the newest open ticket of the same intake; equal intakes take turns."""
        intake = self.payload
        named = f"{intake.account_id} {intake.site_id} {intake.signature}"
        await self.conn.execute(statements.DUPLICATE_LOCK, named)
        row = await self.conn.fetchrow(
            statements.DUPLICATE, intake.account_id, intake.site_id, intake.signature
        )
        return {"duplicate": Duplicate(**row) if row else None}

    async def roster(self) -> Found:
        """Return the site, who fits the visit with all they do, and who does not.

        Whose skills or region do not fit is excluded whatever the load and the hours are.
        """
        ticket, found = self.ticket, await self.site()
        if ticket is None or ticket.scheduled_start is None or ticket.scheduled_end is None:
            return found
        region = found["site"] and found["site"].region
        service = normalised_service(self.payload.service_type)
        tenant = self.command.actor.tenant_id
        fit, unfit = await self.rosters.sorted_out(self.conn, tenant, service, region)
        window = (ticket.scheduled_start, ticket.scheduled_end)
        rows = await self.conn.fetch(
            statements.ENGAGEMENTS, [each.id for each in fit], ticket.id, *window
        )
        engaged = {row["id"]: row for row in rows}
        roster = tuple(_entry(each, engaged[each.id]) for each in fit)
        return {**found, "roster": roster, "unfit": unfit}

    async def hold(self) -> Found:
        """Return the newest hold of the ticket."""
        row = await self.conn.fetchrow(NEWEST_HOLD, self.command.ticket_id)
        return {"hold": HoldSnapshot(**row) if row else None}

    async def upload(self) -> Found:
        """Return the announced upload that the payload names, and what it would be twice."""
        upload = await upload_of(self.conn, self.payload.uri)
        return {"upload": upload, "twin": upload and await twin_of(self.conn, upload)}

    async def control(self) -> Found:
        """Return the autonomy row of the payload's scope, and where its ticket belongs."""
        asked = self.payload
        row = await self.conn.fetchrow(
            statements.CONTROL, asked.scope_type, asked.incident, asked.ticket_id
        )
        ticket = await self.conn.fetchrow(statements.SUBJECT, asked.ticket_id)
        return {
            "control": AutonomyControl(**row) if row else None,
            "named_ticket": NamedTicket(**ticket) if ticket else None,
        }

    async def approved_increase(self) -> Found:
        """Return by how much approvals have raised the ticket's limit; only lines are judged."""
        if not self.payload.lines:
            return {}
        total = await self.conn.fetchval(statements.APPROVED_INCREASE, self.command.ticket_id)
        return {"approved_increase_cents": total}

    async def past(self) -> Found:
        """Return what happened to the ticket's escalation ladders so far."""
        if self.command.ticket_id is None or self.ticket is None:
            return {}
        return {"past": (await ladders_of(self.conn, self.command.ticket_id)).past}

    async def outbox(self) -> Found:
        """Return the message that the payload names, locked."""
        row = await self.conn.fetchrow(statements.OUTBOX, self.payload.outbox_id)
        return {"outbox": OutboxRow(**row) if row else None}


class Ladders(NamedTuple):
    """A ticket's ladders so far, where its site is, and since when its next deadline is known."""

    past: Past
    place: Place
    known_at: datetime | None


async def ladders_of(conn: Connection, ticket_id: UUID) -> Ladders:
    """Return what happened so far; under the ticket's lock nothing more can happen."""
    row = await conn.fetchrow(statements.LADDERS, ticket_id)
    if row is None:
        raise LookupError(f"ticket {ticket_id} is gone")
    past = Past.model_validate({"raised": row["raised"], "snoozes": row["snoozes"]})
    return Ladders(past, place_of(row["timezone"], row["country"]), row["known_at"])


def _entry(technician: Technician, row: asyncpg.Record) -> RosterEntry:
    hours = tuple(Hours(*each) for each in row["hours"])
    return RosterEntry.of(technician, row["active_load"], row["overlapping_ticket_ids"], hours)
