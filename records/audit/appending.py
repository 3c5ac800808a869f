"""Appending to an audit chain what is no command: deliveries and inbound messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from policy.audit.row import Chain, chained
from policy.model import ActorType, Frozen
from runtime.postgres.pool import Connection

LOCK = "SELECT *, redaction_key() FROM lock_chain($1, $2)"
APPEND = "SELECT append_event($1)"


class Author(Frozen):
    """What acts when no caller does, under which bundle."""

    actor_type: ActorType
    actor_id: str
    actor_role: str
    tool_name: str
    policy_bundle_sha256: str


class Locked(NamedTuple):
    """A chain that this transaction alone may append to."""

    tenant_id: str
    ticket_id: UUID | None
    head: Chain
    now: datetime


async def lock_chain(conn: Connection, tenant_id: str, ticket_id: UUID | None) -> Locked:
    """Take the lock of a ticket's chain, or without a ticket of the tenant's; set the tenant.

    It is the lock that commands take, so what follows it waits for its turn.
    """
    row = await conn.fetchrow(LOCK, tenant_id, ticket_id)
    if row is None:
        raise LookupError("lock_chain always returns a row")
    head = Chain(row["chain_seq"], row["chain_hash"], row["chain_at"], row["redaction_key"])
    return Locked(tenant_id, ticket_id, head, row["locked_at"])


async def append_event(
    conn: Connection, locked: Locked, author: Author, payload: Mapping[str, Any]
) -> UUID:
    """Append one event to the locked chain, once a transaction; return its id."""
    event = {
        "id": uuid4(),
        "ticket_id": locked.ticket_id,
        **author.model_dump(mode="json"),
        "request_id": uuid4(),
        "correlation_id": None,
        "trace_id": None,
        "before_state": None,
        "after_state": None,
        "payload": payload,
        "tenant_id": locked.tenant_id,
        "command_id": None,
    }
    row = chained(event, locked.head, locked.now)
    await conn.execute(APPEND, row)
    event_id: UUID = row["id"]
    return event_id
