"""What the SMS provider reports: a customer's message, or what became of one of ours."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from pydantic import Field

from contracts.statements import SET_TENANT
from policy.model import ActorType, Role
from policy.rules.bundle import Bundle
from policy.values import BlankableText, Name, PayloadModel, format_datetime
from records.audit.appending import Author, Locked, append_event, lock_chain
from runtime.postgres.pool import Connection, Pool

ACTOR_ID = "dispatch-sms-webhook"
INBOUND_TOOL, STATUS_TOOL = "sms.inbound", "sms.status"
FINAL_STATUSES = ("delivered", "failed", "undelivered")

# The customer's newest open ticket; a sender that is no phone number has no digits.
KEEP = """
INSERT INTO messages (tenant_id, ticket_id, direction, channel, to_addr, from_addr, body, metadata)
SELECT $1, (SELECT t.id FROM tickets t
             WHERE t.tenant_id = $1 AND t.customer_phone IS NOT NULL
               AND phone_digits(t.customer_phone) = nullif(phone_digits($3), '')
               AND t.state NOT IN ('CLOSED', 'CANCELLED')
             ORDER BY t.created_at DESC, t.id LIMIT 1),
       'INBOUND', 'SMS', $2, $3, $4, jsonb_build_object('provider_message_id', $5::text)
ON CONFLICT DO NOTHING RETURNING id, ticket_id
"""
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
        values = (sms.recipient, sms.sender, sms.body, sms.provider_message_id)
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, self._tenant_id)
            kept = await conn.fetchrow(KEEP, self._tenant_id, *values)
            if kept is None:
                return None
            if kept["ticket_id"] is not None:
                locked = await lock_chain(conn, self._tenant_id, kept["ticket_id"])
                payload = {
                    "message_id": str(kept["id"]),
                    "provider_message_id": sms.provider_message_id,
                    "channel": "SMS",
                    "direction": "INBOUND",
                    "from_phone": sms.sender,
                    "body": sms.body,
                }
                await self._record(conn, locked, INBOUND_TOOL, payload)
        message_id: UUID = kept["id"]
        return message_id

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
        self, conn: Connection, locked: Locked, tool: str, payload: Mapping[str, str | None]
    ) -> None:
        author = Author(
            actor_type=ActorType.SERVICE,
            actor_id=ACTOR_ID,
            actor_role=Role.SYSTEM,
            tool_name=tool,
            policy_bundle_sha256=self._bundle.sha256,
        )
        await append_event(conn, locked, author, payload)
