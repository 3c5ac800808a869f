"""What is recorded stays: append-only, sealed and decided rows, against the table's owner too."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from runtime.postgres.pool import Connection, Pool
from tests.integration.rows import (
    TRANSITION,
    add_audit,
    add_command,
    add_evidence,
    add_ticket,
    count,
)

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

AS_WRITTEN = {
    "tickets": (
        *("tenant_id", "account_id", "site_id", "summary", "description", "customer_name"),
        *("customer_phone", "customer_email", "currency", "created_at", "updated_at"),
    ),
    "command_log": (
        *("tenant_id", "tool_name", "endpoint", "actor_type", "actor_id", "actor_role"),
        *("request_id", "request_hash", "submitted_at"),
    ),
    "evidence_items": ("kind", "uri", "checksum", "metadata", "object_version_id", "created_by"),
    "evidence_uploads": (
        "bucket",
        "object_key",
        "sha256",
        "size_bytes",
        "created_by",
        "created_at",
    ),
}
KEPT = ("audit_events", "ticket_state_transitions", "evidence_items", "command_log")
TENANT_TABLES = """
    SELECT table_name FROM information_schema.tables
      JOIN information_schema.columns USING (table_schema, table_name)
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'tenant_id'
"""


@pytest.fixture
async def ticket(owner: Connection) -> UUID:
    """Add a ticket with one row in each table that keeps its rows."""
    ticket = await add_ticket(owner)
    event = await add_audit(owner, ticket)
    await owner.execute(TRANSITION, ticket, None, "NEW", event)
    await add_evidence(owner, ticket, sealed=True)
    await add_command(owner, ticket, decision="ALLOW")
    return ticket


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"],
)
async def test_a_kept_row_cannot_be_changed_deleted_or_truncated(
    owner: Connection, ticket: UUID, table: str, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="refused"):
        await owner.execute(statement.format(table))
    assert await count(owner, table) == 1, ticket


async def test_evidence_changes_until_it_is_sealed(owner: Connection, ticket: UUID) -> None:
    item = await add_evidence(owner, ticket, sealed=False)
    await owner.execute("UPDATE evidence_items SET kind = 'note' WHERE id = $1", item)
    await owner.execute("UPDATE evidence_items SET is_immutable = true WHERE id = $1", item)
    with pytest.raises(asyncpg.RestrictViolationError, match="sealed"):
        await owner.execute("UPDATE evidence_items SET is_immutable = false WHERE id = $1", item)


async def test_a_command_is_decided_once(owner: Connection, ticket: UUID) -> None:
    command = await add_command(owner, ticket)
    decide = "UPDATE command_log SET decision = $2, decided_at = now() WHERE command_id = $1"
    await owner.execute(decide, command, "DENY")
    with pytest.raises(asyncpg.RestrictViolationError, match="decided once"):
        await owner.execute(decide, command, "ALLOW")


async def test_an_undecided_command_cannot_be_deleted_either(owner: Connection) -> None:
    command = await add_command(owner, None)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("DELETE FROM command_log WHERE command_id = $1", command)


@pytest.mark.usefixtures("ticket")
async def test_an_update_of_a_ticket_stamps_it(owner: Connection) -> None:
    row = await owner.fetchrow(
        "UPDATE tickets SET updated_at = '2000-01-01' RETURNING updated_at > created_at AS later"
    )
    assert row is not None
    assert row["later"]


async def test_the_application_cannot_delete_anywhere(pool: Pool, owner: Connection) -> None:
    tables = {row["table_name"] for row in await owner.fetch(TENANT_TABLES)}
    assert len(tables) >= 22
    for table in tables - {"command_payloads"}:  # on their way only, until the command is decided
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            await _denied(pool.execute, statement.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET payload = payload",
        "UPDATE ticket_state_transitions SET to_state = to_state",
        "UPDATE idempotency_keys SET response_code = response_code",
        *(
            f"UPDATE {table} SET {name} = {name}"  # noqa: S608  our own names
            for table, names in AS_WRITTEN.items()
            for name in names
        ),
        *(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in KEPT),
        "ALTER TABLE tickets NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE ticket_state_transitions DROP CONSTRAINT chk_ticket_state_transition_valid",
        "SET session_replication_role = replica",
        "CREATE TABLE own (id int)",
        "CREATE FUNCTION row_tenant() RETURNS text LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO accounts (name) VALUES ('x')",
        "INSERT INTO installation_keys (name, key) VALUES ('x', sha256(''))",
        "UPDATE schema_migrations SET name = name",
        "SELECT protect_tenant_table('tickets', 'set_tenant_of_root')",
    ],
)
async def test_the_application_cannot_lift_a_guard(pool: Pool, statement: str) -> None:
    await _denied(pool.execute, statement)


async def _denied(execute: Callable[[str], Awaitable[object]], statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(statement)
