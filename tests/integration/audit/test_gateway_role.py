"""What the gateway's role may do to the record: open commands and file reports, nothing else."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from records.audit.appending import Author, append_event, lock_chain
from runtime.postgres.pool import GATEWAY_ROLE, Connection, Pool, create_pool
from runtime.stack.postgres import NO_LARGE_OBJECTS
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.rows import add_ticket

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

COLUMNS = """
SELECT attname FROM pg_attribute
 WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped
"""
WRITABLE = """
SELECT c.oid::regclass::text || ' ' || p.privilege FROM pg_class c JOIN pg_namespace n
    ON n.oid = c.relnamespace
 CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
 WHERE n.nspname IN ('public', 'proof') AND c.relkind IN ('r', 'p', 'v')
   AND (has_table_privilege('dispatch_gateway', c.oid, p.privilege)
        OR p.privilege IN ('INSERT', 'UPDATE')
           AND has_any_column_privilege('dispatch_gateway', c.oid, p.privilege))
 ORDER BY 1
"""
CALLABLE = """
SELECT f.oid::regproc::text FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
 WHERE n.nspname IN ('public', 'proof') AND f.prosecdef AND f.prorettype <> 'trigger'::regtype
   AND has_function_privilege('dispatch_gateway', f.oid, 'EXECUTE')
 ORDER BY 1
"""
OPEN = """
INSERT INTO command_log (command_id, tenant_id, ticket_id, tool_name, endpoint,
                         policy_bundle_version, policy_bundle_sha256, decision, decided_at)
VALUES (gen_random_uuid(), 'default', $1, 'ticket.close', '/', '1', 'x', $2::text,
        CASE WHEN $2 IS NOT NULL THEN now() END)
"""
AUTHOR = {
    "actor_type": "SERVICE",
    "actor_id": "dispatch-sms-webhook",
    "actor_role": "system",
    "policy_bundle_sha256": "x",
}


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Pool]:
    pool = await create_pool(database_url, max_size=2, role=GATEWAY_ROLE)
    yield pool
    await pool.close()


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def refused(pool: Pool, statement: str, *values: object) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with conn.transaction():
                await conn.execute(statement, *values)


async def test_the_gateways_role_writes_five_tables_and_deletes_nothing(owner: Connection) -> None:
    assert [row[0] for row in await owner.fetch(WRITABLE)] == [
        "command_log INSERT",
        "command_payloads INSERT",
        "command_promises INSERT",
        "dispatch_outbox UPDATE",
        "messages INSERT",
    ]
    assert [row[0] for row in await owner.fetch(CALLABLE)] == [
        *("append_event", "attach_message", "command_outcomes", "damaged_ticket_ids"),
        "decided_commands",
        *("failed_evidence_checks", "given_up_commands", "idempotency_row", "open_promises"),
        *("proof.late_records", "redaction_key", "resting_ticket_ids", "resting_tickets"),
        *("timer_lateness", "waiting_ticket_ids"),
    ]


async def test_the_gateways_role_changes_no_column_of_a_ticket(
    gateway: Pool, owner: Connection
) -> None:
    await add_ticket(owner)
    names = [row["attname"] for row in await owner.fetch(COLUMNS)]
    assert "state" in names
    for name in names:
        await refused(gateway, f"UPDATE tickets SET {name} = {name}")  # noqa: S608


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT proof.take(1, interval '0', 1)",
        "INSERT INTO audit_events SELECT * FROM audit_events",
        "INSERT INTO ticket_state_transitions (to_state) VALUES ('CLOSED')",
        "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys",
        "UPDATE command_log SET tool_name = 'ticket.close' WHERE decided_at IS NULL",
        "DELETE FROM command_payloads",
        "UPDATE dispatch_outbox SET status = 'SENT'",
        "UPDATE evidence_items SET uri = uri",
        "INSERT INTO proof.checkpoints SELECT * FROM proof.checkpoints",
        "INSERT INTO proof.stored_checkpoints (number, uri) VALUES (1, 'x')",
        "INSERT INTO proof.bundles SELECT * FROM proof.bundles",
        "SELECT proof.lease_dossier('0')",
        "SELECT begin_command('default', NULL, NULL, 'a', '/', NULL)",
        "SELECT * FROM stale_uploads(now(), 1)",
        "SELECT secrets FROM webhook_subscriptions",
        "CREATE TABLE own (id int)",
    ],
)
async def test_the_gateways_role_cannot(gateway: Pool, statement: str) -> None:
    await refused(gateway, statement)


async def test_the_gateways_role_opens_and_denies_commands_and_allows_none(
    gateway: Pool, runner: Runner
) -> None:
    ticket = await runner.create()
    for decision in (None, "DENY"):
        async with gateway.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
            await conn.execute(OPEN, ticket, decision)
    await refused(gateway, OPEN, ticket, "ALLOW")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"tool_name": "approval.decide"}, asyncpg.InsufficientPrivilegeError),
        ({"actor_type": "HUMAN"}, asyncpg.InsufficientPrivilegeError),
        ({"after_state": "CLOSED"}, asyncpg.InsufficientPrivilegeError),
        ({"command_id": str(uuid4())}, asyncpg.InsufficientPrivilegeError),
        ({"tenant_id": "other"}, asyncpg.InsufficientPrivilegeError),
        ({"seq": 9}, asyncpg.CheckViolationError),
        ({"prev_hash": "0" * 64}, asyncpg.CheckViolationError),
        ({"created_at": "2020-01-01T00:00:00.000Z"}, asyncpg.CheckViolationError),
    ],
)
async def test_the_gateways_role_appends_nothing_but_reports_that_continue_the_chain(
    gateway: Pool, runner: Runner, changed: dict[str, Any], error: type[Exception]
) -> None:
    ticket = await runner.create()
    author = Author.model_validate(AUTHOR | {"tool_name": "sms.inbound"})
    async with gateway.acquire() as conn, conn.transaction():
        locked = await lock_chain(conn, "default", ticket)
        await append_event(conn, locked, author, {"body": "hello"})
    row = await runner.owner.fetchval(
        "SELECT to_jsonb(a) || jsonb_build_object('seq', seq + 1, 'prev_hash', hash, 'id',"
        " gen_random_uuid(), 'created_at', clock_timestamp()) FROM audit_events a"
        " WHERE ticket_id = $1 ORDER BY seq DESC LIMIT 1",
        ticket,
    )
    async with gateway.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        merged = "SELECT append_event($1::text::jsonb || $2)"
        with pytest.raises(error):
            async with conn.transaction():
                await conn.execute(merged, row, changed)
        await conn.execute(merged, row, {})


async def test_no_role_of_the_application_keeps_large_objects(
    gateway: Pool, pool: Pool, owner: Connection
) -> None:
    await owner.execute(NO_LARGE_OBJECTS)
    for each in (gateway, pool):
        for statement in (
            "SELECT lo_create(0)",
            "SELECT lo_creat(-1)",
            "SELECT lo_from_bytea(0, 'x')",
            "SELECT lo_put(1, 0, 'x')",
            "SELECT lo_open(1, 131072)",
        ):
            await refused(each, statement)
