"""What the SMS provider reports: a customer's message, or what became of one of ours."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import Field

from contracts.statements import SET_TENANT
from policy.delivery.phone import TAIL, digits_of, same_number
from policy.model import Actor, ActorType, Role
from policy.rules.bundle import Bundle
from policy.values import BlankableText, Name, PayloadModel, format_datetime
from records.audit.appending import Author, Locked, append_event, lock_chain
from runtime.postgres.pool import Connection, Pool

ACTOR_ID = "dispatch-sms-webhook"
INBOUND_TOOL, STATUS_TOOL = "sms.inbound", "sms.status"
FINAL_STATUSES = ("delivered", "failed", "undelivered")

# Open tickets whose number may be the sender's, the newest first: whether it is, the end tells not.
CANDIDATES = """
SELECT t.id, t.customer_phone, s.country FROM tickets t JOIN sites s ON s.id = t.site_id
 WHERE t.tenant_id = $1 AND t.customer_phone IS NOT NULL
   AND strpos(regexp_replace(t.customer_phone, '[^0-9]', '', 'g'), $2) > 0
   AND t.state NOT IN ('CLOSED', 'CANCELLED')
 ORDER BY t.created_at DESC, t.id LIMIT 50
"""
KEEP = """
INSERT INTO messages (tenant_id, ticket_id, direction, channel, to_addr, from_addr, body, metadata)
VALUES ($1, $2, 'INBOUND', 'SMS', $3, $4, $5, jsonb_build_object('provider_message_id', $6::text))
ON CONFLICT DO NOTHING RETURNING id
"""
ATTACH = "SELECT * FROM attach_message($1, $2)"
ATTACHED_TO = "SELECT ticket_id FROM messages WHERE id = $1 AND direction = 'INBOUND'"
SENT_MESSAGE = """
SELECT o.id, t.id AS ticket_id
  FROM dispatch_outbox o
  LEFT JOIN tickets t ON o.aggregate_type = 'ticket'
       AND t.id = CASE WHEN pg_input_is_valid(o.aggregate_id, 'uuid') THEN o.aggregate_id::uuid END
 WHERE o.idempotency_key = $1 OR o.payload->>'provider_message_id' = $2
 ORDER BY (o.idempotency_key = $1) DESC NULLS LAST LIMIT 1
"""
SET_STATUS = """
UPDATE dispatch_outbox
   SET payload = payload || jsonb_build_object('provider_status', $2::text,
                                               'provider_status_at', $3::text),
       updated_at = $4
 WHERE id = $1 AND payload->>'provider_status' IS DISTINCT FROM $2
   AND coalesce(payload->>'provider_status', '') <> ALL ($5::text[])
RETURNING id
"""


class Attached(Enum):
    """What became of attaching a message."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


class InboundSms(PayloadModel):
    """A text message from a customer."""

    provider_message_id: Name
    sender: Name = Field(alias="from")
    recipient: Name | None = Field(default=None, alias="to")
    body: BlankableText = Field(default="", max_length=10_000)


class SmsStatus(PayloadModel):
    """What became of a message of ours, which its key or the provider's id names."""

    status: Name
    message_key: BlankableText | None = None
    provider_message_id: Name | None = None


class SmsDesk:
    """Files what the provider reports, each report once."""

    def __init__(self, pool: Pool, bundle: Bundle, tenant_id: str) -> None:
        self._pool = pool
        self._bundle = bundle
        self._tenant_id = tenant_id

    async def receive(self, sms: InboundSms) -> UUID | None:
        """Keep a message, on its customer's timeline if a ticket is open; None for a repeat."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, self._tenant_id)
            ticket_id = await self._ticket_of(conn, sms.sender)
            values = (sms.recipient, sms.sender, sms.body, sms.provider_message_id)
            message_id: UUID | None = await conn.fetchval(KEEP, self._tenant_id, ticket_id, *values)
            if message_id is not None and ticket_id is not None:
                locked = await lock_chain(conn, self._tenant_id, ticket_id)
                report = (sms.provider_message_id, "SMS", sms.sender, sms.body)
                payload = _filed(message_id, *report)
                await self._record(conn, locked, INBOUND_TOOL, payload)
        return message_id

    async def attach(self, message_id: UUID, ticket_id: UUID, actor: Actor) -> Attached:
        """File a message that fits no ticket with one, as if it had come to it; once.

        The gateway signs for nobody: its row is this service's own, and says who asked for it.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            locked = await lock_chain(conn, self._tenant_id, ticket_id)
            row = await conn.fetchrow(ATTACH, message_id, ticket_id)
            if row is None:
                known = await conn.fetchrow(ATTACHED_TO, message_id)
                if known is None:
                    return Attached.UNKNOWN
                return Attached.HERE if known["ticket_id"] == ticket_id else Attached.ELSEWHERE
            report = (row["provider_message_id"], row["channel"], row["from_addr"], row["body"])
            who = actor.model_dump(mode="json", include={"actor_type", "actor_id", "actor_role"})
            payload = {**_filed(message_id, *report), "attached_by": who}
            await self._record(conn, locked, INBOUND_TOOL, payload)
        return Attached.HERE

    async def _ticket_of(self, conn: Connection, sender: str) -> UUID | None:
        """Return the newest open ticket whose customer has the sender's number."""
        tail = digits_of(sender)[-TAIL:]
        if not tail:
            return None
        for row in await conn.fetch(CANDIDATES, self._tenant_id, tail):
            if same_number(sender, row["customer_phone"], row["country"]):
                ticket_id: UUID = row["id"]
                return ticket_id
        return None

    async def note_status(self, report: SmsStatus) -> bool:
        """Note what became of a message of ours; return whether there is such a message.

        A final status stays: reports may overtake each other.
        """
        status = report.status.lower()
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, self._tenant_id)
            row = await conn.fetchrow(SENT_MESSAGE, report.message_key, report.provider_message_id)
            if row is None:
                return False
            locked = await lock_chain(conn, self._tenant_id, row["ticket_id"])
            said_at = format_datetime(datetime.now(UTC))
            values = (row["id"], status, said_at, locked.now, FINAL_STATUSES)
            if await conn.fetchval(SET_STATUS, *values) is not None:
                payload = {
                    "outbox_id": str(row["id"]),
                    "provider_message_id": report.provider_message_id,
                    "provider_status": status,
                }
                await self._record(conn, locked, STATUS_TOOL, payload)
        return True

    async def _record(
        self, conn: Connection, locked: Locked, tool: str, payload: Mapping[str, Any]
    ) -> None:
        author = Author(
            actor_type=ActorType.SERVICE,
            actor_id=ACTOR_ID,
            actor_role=Role.SYSTEM,
            tool_name=tool,
            policy_bundle_sha256=self._bundle.sha256,
        )
        await append_event(conn, locked, author, payload)


def _filed(
    message_id: UUID, provider_message_id: str | None, channel: str, sender: str, body: str
) -> dict[str, Any]:
    """Return what a ticket's timeline says of a message that came to it."""
    return {
        "message_id": str(message_id),
        "provider_message_id": provider_message_id,
        "channel": channel,
        "direction": "INBOUND",
        "from_phone": sender,
        "body": body,
    }
