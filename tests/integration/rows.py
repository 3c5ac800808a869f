"""The smallest valid rows of the tables that the database tests need."""

from uuid import UUID, uuid4

from runtime.postgres.pool import Connection

NO_HASH = "0" * 64

ACCOUNT = "INSERT INTO accounts (tenant_id, name) VALUES ($1, 'Account') RETURNING id"
SITE = """
    INSERT INTO sites (account_id, name, address1, city) VALUES ($1, 'Site', '1 Street', 'City')
    RETURNING id
"""
TICKET = """
    INSERT INTO tickets (account_id, site_id, summary) VALUES ($1, $2, 'Door stuck') RETURNING id
"""
AUDIT = """
    INSERT INTO audit_events
        (ticket_id, actor_type, actor_id, tool_name, request_id, policy_bundle_sha256, seq,
         prev_hash, hash)
    VALUES ($1, 'AGENT', 'a', 'ticket.create', gen_random_uuid(), '', $2, $3, $3)
    RETURNING id
"""
TRANSITION = """
    INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id)
    VALUES ($1, $2, $3, $4)
"""
EVIDENCE = """
    INSERT INTO evidence_items (ticket_id, kind, uri, is_immutable)
    VALUES ($1, 'photo', 's3://b/k', $2) RETURNING id
"""
COMMAND = """
    INSERT INTO command_log
        (command_id, ticket_id, tool_name, endpoint, actor_id, request_id, request_hash, decision,
         decided_at, policy_bundle_version, policy_bundle_sha256)
    VALUES ($1, $2, 'ticket.triage', '/t', 'a', $3, $4, $5::text,
            CASE WHEN $5::text IS NOT NULL THEN now() END, '1', '')
"""
ANSWER = """
    INSERT INTO idempotency_keys
        (tenant_id, actor_id, endpoint, request_id, request_hash, response_code, response_body,
         command_id)
    VALUES ($1, 'a', '/t', $2, 'h', 200, '{"id": 1}', $3)
"""


async def add_ticket(conn: Connection, tenant: str = "default") -> UUID:
    """Add an account, its site and a ticket; only the account names the tenant."""
    account = await conn.fetchval(ACCOUNT, tenant)
    site = await conn.fetchval(SITE, account)
    ticket: UUID = await conn.fetchval(TICKET, account, site)
    return ticket


async def add_audit(conn: Connection, ticket: UUID | None, seq: int = 1) -> UUID:
    """Add an audit row without a real hash."""
    event: UUID = await conn.fetchval(AUDIT, ticket, seq, NO_HASH)
    return event


async def count(conn: Connection, table: str) -> int:
    """Return the number of rows."""
    rows: int = await conn.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  our own names
    return rows


async def add_evidence(conn: Connection, ticket: UUID, *, sealed: bool) -> UUID:
    """Add an evidence row."""
    item: UUID = await conn.fetchval(EVIDENCE, ticket, sealed)
    return item


async def add_command(
    conn: Connection,
    ticket: UUID | None,
    *,
    decision: str | None = None,
    request: UUID | None = None,
    request_hash: str = "h",
) -> UUID:
    """Add a command of actor `a` on endpoint `/t`; undecided without `decision`."""
    command = uuid4()
    await conn.execute(COMMAND, command, ticket, request or uuid4(), request_hash, decision)
    return command
