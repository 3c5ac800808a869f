"""What the worker's role may do to what is there already: what a command changes, no more."""

import asyncpg
import pytest

from runtime.postgres.pool import Pool

pytest_plugins = ["tests.integration.servers.postgres_fixture"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tickets SET summary = 'another'",
        "UPDATE tickets SET account_id = account_id",
        "UPDATE command_log SET actor_id = 'another' WHERE decided_at IS NULL",
        "UPDATE command_log SET tool_name = 'ticket.close' WHERE decided_at IS NULL",
        "UPDATE evidence_items SET uri = uri",
        "UPDATE evidence_uploads SET object_key = object_key",
        "UPDATE audit_events SET hash = hash",
        "DELETE FROM audit_events",
        "DELETE FROM command_log",
        "DELETE FROM tickets",
        "DELETE FROM evidence_items",
        "DELETE FROM proof.queue",
        "UPDATE proof.entries SET row_hash = row_hash",
        "DELETE FROM proof.checkpoints",
        "TRUNCATE audit_events",
        "SET session_replication_role = replica",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    ],
)
async def test_the_workers_role_cannot(pool: Pool, statement: str) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with conn.transaction():
                await conn.execute(statement)
