"""Tenant isolation: the application sees and writes the rows of one tenant, and only those."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from runtime.postgres.pool import (
    APPLICATION_ROLE,
    ApplicationRoleError,
    Connection,
    Pool,
    assert_application_role,
    create_pool,
    installation_key,
)
from tests.integration.rows import TRANSITION, add_audit, add_command, add_ticket

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

UNPROTECTED = """
    SELECT c.relname FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
       AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                             AND p.polname = 'tenant_rows'))
     ORDER BY 1
"""


@asynccontextmanager
async def tenant(pool: Pool, name: str) -> AsyncIterator[Connection]:
    """Yield a transaction of the application in this tenant."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', $1, true)", name)
        yield conn


async def visible(conn: Connection) -> list[UUID]:
    """Return the ids of the tickets that this connection sees."""
    return [row["id"] for row in await conn.fetch("SELECT id FROM tickets")]


async def test_only_the_installations_own_tables_are_not_isolated(owner: Connection) -> None:
    names = [row["relname"] for row in await owner.fetch(UNPROTECTED)]
    assert names == ["installation_keys", "schema_migrations"]


async def test_a_tenant_sees_its_own_rows(owner: Connection, pool: Pool) -> None:
    ours, theirs = await add_ticket(owner), await add_ticket(owner, "acme")
    async with tenant(pool, "default") as conn:
        assert await visible(conn) == [ours]
    async with tenant(pool, "acme") as conn:
        assert await visible(conn) == [theirs]


async def test_without_a_tenant_nothing_is_visible_or_writable(
    owner: Connection, pool: Pool
) -> None:
    await add_ticket(owner)
    async with pool.acquire() as conn:
        assert await visible(conn) == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await add_command(conn, None)


async def test_a_connection_that_comes_back_from_the_pool_has_no_tenant(
    database_url: str, owner: Connection
) -> None:
    await add_ticket(owner)
    single = await create_pool(database_url, max_size=1)
    async with tenant(single, "default") as conn:
        backend = await conn.fetchval("SELECT pg_backend_pid()")
        assert len(await visible(conn)) == 1
    async with single.acquire() as conn:
        assert await conn.fetchval("SELECT pg_backend_pid()") == backend
        assert await visible(conn) == []
    with pytest.raises(RuntimeError):
        async with tenant(single, "default"):
            raise RuntimeError
    async with single.acquire() as conn:
        assert await conn.fetchval("SELECT pg_backend_pid()") == backend
        assert await visible(conn) == []
    await single.close()


async def test_skills_follow_the_technician(owner: Connection, pool: Pool) -> None:
    technician = await owner.fetchval(
        "INSERT INTO technicians (id, tenant_id, name)"
        " VALUES (gen_random_uuid(), 'acme', 'T') RETURNING id"
    )
    await owner.execute("INSERT INTO technician_skills VALUES ($1, 'DOORS')", technician)
    for name, skills in (("acme", 1), ("default", 0)):
        async with tenant(pool, name) as conn:
            assert await conn.fetchval("SELECT count(*) FROM technician_skills") == skills


async def test_a_row_takes_the_tenant_of_its_parents(owner: Connection) -> None:
    ticket = await add_ticket(owner, "acme")
    event = await add_audit(owner, ticket)
    await owner.execute(TRANSITION, ticket, None, "NEW", event)
    tenants = await owner.fetch(
        "SELECT tenant_id FROM sites UNION SELECT tenant_id FROM tickets"
        " UNION SELECT tenant_id FROM audit_events"
        " UNION SELECT tenant_id FROM ticket_state_transitions"
    )
    assert [row["tenant_id"] for row in tenants] == ["acme"]


async def test_a_row_without_a_parent_takes_the_tenant_of_the_transaction(pool: Pool) -> None:
    async with tenant(pool, "acme") as conn:
        await add_command(conn, None)
        await add_audit(conn, None)
        assert await conn.fetchval("SELECT tenant_id FROM command_log") == "acme"
        assert await conn.fetchval("SELECT tenant_id FROM audit_events") == "acme"


async def test_a_contradicting_tenant_is_refused(owner: Connection) -> None:
    ticket = await add_ticket(owner, "acme")
    with pytest.raises(asyncpg.CheckViolationError, match="contradicts tenant acme"):
        await owner.execute(
            "INSERT INTO messages (tenant_id, ticket_id, direction, channel)"
            " VALUES ('other', $1, 'INBOUND', 'SMS')",
            ticket,
        )


async def test_parents_of_two_tenants_are_refused(owner: Connection) -> None:
    ours, theirs = await add_ticket(owner), await add_ticket(owner, "acme")
    event = await add_audit(owner, theirs)
    with pytest.raises(asyncpg.CheckViolationError, match="default and acme"):
        await owner.execute(TRANSITION, ours, None, "NEW", event)


async def test_a_row_never_changes_its_tenant(owner: Connection) -> None:
    ours, theirs = await add_ticket(owner), await add_ticket(owner, "acme")
    await add_command(owner, None)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE command_log SET tenant_id = 'acme'")
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("UPDATE tickets SET tenant_id = 'acme' WHERE id = $1", ours)
    await owner.execute(
        "INSERT INTO approvals (ticket_id, requested_by, approval_type) VALUES ($1, 'a', 'X')", ours
    )
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE approvals SET ticket_id = $1", theirs)


async def test_the_application_cannot_write_into_another_tenant(
    owner: Connection, pool: Pool
) -> None:
    theirs = await add_ticket(owner, "acme")
    async with tenant(pool, "default") as conn:
        changed = await conn.execute("UPDATE tickets SET nte_cents = 1 WHERE id = $1", theirs)
        assert changed == "UPDATE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with tenant(pool, "default") as conn:
            await add_audit(conn, theirs)


async def test_the_pool_runs_in_the_application_role(pool: Pool) -> None:
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == APPLICATION_ROLE
        await assert_application_role(conn)
        assert len(await installation_key(conn)) == 32
        await conn.reset()
        await assert_application_role(conn)


async def test_a_role_above_the_rules_is_refused(owner: Connection) -> None:
    with pytest.raises(ApplicationRoleError, match="postgres is a superuser and has BYPASSRLS"):
        await assert_application_role(owner)


async def test_json_columns_are_python_objects(pool: Pool) -> None:
    value = {"name": "Zoë", "list": [1, 2.5, None, True]}
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT $1::jsonb", value) == value
