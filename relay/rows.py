"""The outbox in Postgres: rows in hand are leased; outcome and audit are one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from contracts.statements import SET_TENANT
from policy.delivery.retry import OutboxStatus, RetryRules, after_failure
from policy.model import ActorType
from policy.rules.bundle import Bundle
from policy.values import format_datetime
from records.audit.appending import Author, append_event, lock_chain
from relay.delivery import Receipt
from runtime.postgres.pool import Connection, Pool

WORKER = "dispatch-outbox-worker"
TOOL = "dispatch.outbox_worker"
SYSTEM = "SYSTEM"
# The lease outlasts the longest attempt, so a row is never in two hands.
LEASE_MARGIN_MS = 5000
ERROR_LIMIT = 500

NOW = "SELECT clock_timestamp()"
CLAIM = "SELECT * FROM claim_outbox($1, $2, $3)"
# A provider may have called back before we knew of our success: what it said last counts.
SENT = """
UPDATE dispatch_outbox
   SET status = 'SENT', last_error = NULL, lease_id = NULL, leased_until = NULL, updated_at = $4,
       payload = payload || $3::jsonb || CASE WHEN payload ? 'provider_status_at'
           THEN jsonb_build_object('provider_status', payload->'provider_status') ELSE '{}' END
 WHERE id = $1 AND lease_id = $2 RETURNING id
"""
FAILED = """
UPDATE dispatch_outbox
   SET status = $3, attempt_count = $4, last_error = $7,
       next_attempt_at = $6::timestamptz + $5::interval,
       lease_id = NULL, leased_until = NULL, updated_at = $6
 WHERE id = $1 AND lease_id = $2 RETURNING id
"""
KEEP_MESSAGE = """
INSERT INTO messages (tenant_id, ticket_id, direction, channel, to_addr, body, metadata)
VALUES ($1, $2, 'OUTBOUND', $3, $4, $5, $6)
"""
SUBSCRIPTION = "SELECT url, secrets FROM webhook_subscriptions WHERE id = $1 AND is_active"


@dataclass(frozen=True)
class Row:
    """One claimed message; `ticket_id` is its aggregate, if that is an existing ticket."""

    id: UUID
    tenant_id: str
    aggregate_type: str
    aggregate_id: str
    event_type: str
    payload: Mapping[str, Any]
    idempotency_key: str
    attempt_count: int
    lease_id: UUID
    ticket_id: UUID | None


@dataclass(frozen=True)
class Subscriber:
    """Where a webhook goes, and what signs it."""

    url: str
    secrets: tuple[str, ...]


class Outbox:
    """The messages of all tenants, as the relay sees them."""

    def __init__(self, pool: Pool, bundle: Bundle, retry: RetryRules, timeout_ms: int) -> None:
        self._pool = pool
        self._retry = retry
        self._lease_ms = timeout_ms + LEASE_MARGIN_MS
        self._author = Author(
            actor_type=ActorType.SYSTEM,
            actor_id=WORKER,
            actor_role=SYSTEM,
            tool_name=TOOL,
            policy_bundle_sha256=bundle.sha256,
        )

    async def now(self) -> datetime:
        """Return the database's time."""
        moment: datetime = await self._pool.fetchval(NOW)
        return moment

    async def claim(self, due_at: datetime) -> Row | None:
        """Lease the oldest message that was due at `due_at` and is in nobody's hands, or None."""
        row = await self._pool.fetchrow(CLAIM, due_at, uuid4(), self._lease_ms)
        return Row(**row) if row else None

    async def subscriber(self, row: Row) -> Subscriber | None:
        """Return the subscriber that a webhook is for, or None when there is none any more."""
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute(SET_TENANT, row.tenant_id)
            found = await conn.fetchrow(SUBSCRIPTION, UUID(row.payload["subscription_id"]))
        return Subscriber(found["url"], tuple(found["secrets"])) if found else None

    async def record_sent(self, row: Row, receipt: Receipt) -> OutboxStatus | None:
        """Record a success; None if the lease was lost and the message is another relay's."""
        async with self._pool.acquire() as conn, conn.transaction():
            locked = await lock_chain(conn, row.tenant_id, row.ticket_id)
            gained = {
                "provider": receipt.provider,
                "provider_message_id": receipt.provider_message_id,
                "provider_status": receipt.status,
                "last_send_at": format_datetime(locked.now),
                "dry_run": receipt.dry_run,
            }
            if not await conn.fetchval(SENT, row.id, row.lease_id, gained, locked.now):
                return None
            if not receipt.dry_run and row.payload.get("channel") == "SMS":
                await self._keep_message(conn, row, gained)
            detail = {"provider_result": receipt.answer()}
            payload = _attempt(row, OutboxStatus.SENT, detail)
            await append_event(conn, locked, self._author, payload)
        return OutboxStatus.SENT

    async def record_failure(self, row: Row, error: str) -> OutboxStatus | None:
        """Record a failure and when to try again; None if the lease was lost."""
        after = after_failure(self._retry, row.attempt_count)
        error = error[:ERROR_LIMIT]
        async with self._pool.acquire() as conn, conn.transaction():
            locked = await lock_chain(conn, row.tenant_id, row.ticket_id)
            values = (after.status, after.attempt_count, after.delay, locked.now, error)
            if not await conn.fetchval(FAILED, row.id, row.lease_id, *values):
                return None
            payload = _attempt(row, after.status, {"error": error})
            await append_event(conn, locked, self._author, payload)
        return after.status

    async def _keep_message(self, conn: Connection, row: Row, gained: Mapping[str, Any]) -> None:
        metadata = {"outbox_id": str(row.id), **gained}
        await conn.execute(
            KEEP_MESSAGE,
            row.tenant_id,
            row.ticket_id,
            row.payload.get("channel"),
            row.payload.get("to"),
            row.payload.get("body"),
            metadata,
        )


def _attempt(row: Row, status: OutboxStatus, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the audit payload of one attempt, exactly as contract 14.2 lists it."""
    return {
        "outbox_id": str(row.id),
        "aggregate_type": row.aggregate_type,
        "aggregate_id": row.aggregate_id,
        "event_type": row.event_type,
        "attempt_count": row.attempt_count,
        "status": status.value,
        "worker": WORKER,
        **detail,
    }
