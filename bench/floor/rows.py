"""A bare command and its rows: those of the product, in one transaction, without any rule."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

from runtime.postgres.pool import Connection, Pool

COMMANDS = 8
CHANNEL = "bench_floor"
TENANT = "default"
SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
CREATE = """
INSERT INTO tickets (id, account_id, site_id, state, priority, summary, version)
VALUES ($1, $2, $3, 'NEW', 'ROUTINE', $4, 0)
"""
UPDATE = "UPDATE tickets SET state = 'TRIAGED', version = version + 1 WHERE id = $1"
AUDIT = """
INSERT INTO audit_events (id, ticket_id, actor_type, actor_id, actor_role, tool_name, request_id,
                          correlation_id, command_id, before_state, after_state, payload,
                          policy_bundle_sha256, seq, prev_hash, hash)
VALUES ($1, $2, 'HUMAN', 'bench', 'dispatcher', 'ticket.triage', $3, $4, $5, 'NEW', 'TRIAGED', $6,
        $7, $8, $7, $7)
"""
TRANSITION = """
INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id)
VALUES ($1, 'NEW', 'TRIAGED', $2)
"""
ANSWER = """
INSERT INTO idempotency_keys (actor_id, endpoint, request_id, request_hash, response_code,
                              response_body, command_id)
VALUES ('bench', '/tickets/{ticketId}/triage', $1, $2, 200, $3, $4)
"""
LOG = """
INSERT INTO command_log (command_id, ticket_id, tool_name, endpoint, actor_type, actor_id,
                         actor_role, request_id, request_hash, correlation_id, decision,
                         response_code, response_body, policy_bundle_version,
                         policy_bundle_sha256, decided_at)
VALUES ($1, $2, 'ticket.triage', '/tickets/{ticketId}/triage', 'HUMAN', 'bench', 'dispatcher', $3,
        $4, $5, 'ALLOW', 200, $6, '1', $4, now())
"""
NOTIFY = "SELECT pg_notify('bench_floor', $1)"
DIGEST = "5" * 64
BODY = {
    "endpoint": "/tickets/{ticketId}/triage",
    "request": {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH", "note": "n" * 400},
}


def commands(account_id: str, site_id: str) -> Iterator[dict[str, Any]]:
    """Yield the commands of one new ticket."""
    ticket_id = str(uuid4())
    for seq in range(1, COMMANDS + 1):
        yield {
            "command_id": str(uuid4()),
            "ticket_id": ticket_id,
            "account_id": account_id,
            "site_id": site_id,
            "correlation_id": str(uuid4()),
            "seq": seq,
            "body": BODY,
        }


async def commit(pool: Pool, command: Mapping[str, Any]) -> None:
    """Write the rows of one command: ticket, audit, transition, answer, log; and notify."""
    ticket_id, command_id = UUID(command["ticket_id"]), UUID(command["command_id"])
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(SET_TENANT, TENANT)
        await _ticket(conn, ticket_id, command)
        audit_id, body = uuid4(), command["body"]
        correlation_id = command["correlation_id"]
        seq = command["seq"]
        await conn.execute(
            AUDIT, audit_id, ticket_id, command_id, correlation_id, command_id, body, DIGEST, seq
        )
        await conn.execute(TRANSITION, ticket_id, audit_id)
        await conn.execute(ANSWER, command_id, DIGEST, body, command_id)
        await conn.execute(LOG, command_id, ticket_id, command_id, DIGEST, correlation_id, body)
        await conn.execute(NOTIFY, str(command_id))


async def _ticket(conn: Connection, ticket_id: UUID, command: Mapping[str, Any]) -> None:
    if command["seq"] == 1:
        place = (UUID(command["account_id"]), UUID(command["site_id"]))
        await conn.execute(CREATE, ticket_id, *place, "bench")
    else:
        await conn.execute(UPDATE, ticket_id)
