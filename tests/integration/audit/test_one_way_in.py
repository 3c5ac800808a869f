"""Audit rows enter in their place and time, whoever writes them, and leave the queue as entries."""

from typing import Any

import asyncpg
import pytest

from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
NEXT = """
SELECT to_jsonb(a) || jsonb_build_object('seq', seq + 1, 'prev_hash', hash, 'id', gen_random_uuid(),
                                         'created_at', clock_timestamp())
  FROM audit_events a WHERE ticket_id = $1 ORDER BY seq DESC LIMIT 1
"""
INSERT = """
INSERT INTO audit_events
SELECT r.* FROM jsonb_populate_record(NULL::audit_events, $1::text::jsonb || $2) r
"""
ENTRY = """
INSERT INTO proof.entries (log_index, audit_event_id, row_hash)
SELECT $1, id, coalesce(sha256(convert_to($2, 'UTF8')), decode(hash, 'hex'))
  FROM audit_events LIMIT 1
"""
WAITING = "SELECT count(*) FROM proof.queue"


async def alone(pool: Pool, tenant: str, statement: str, *values: object) -> None:
    """Execute a statement in a transaction of its own."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(SET_TENANT, tenant)
        await conn.execute(statement, *values)


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 1},
        {"seq": 9},
        {"prev_hash": "0" * 64},
        {"prev_hash": "f" * 64},
        {"created_at": "2020-01-01T00:00:00.000Z"},
        {"created_at": "2099-01-01T00:00:00.000Z"},
        {"ticket_id": None},
    ],
)
async def test_a_forged_row_finds_no_place_in_a_chain(
    runner: Runner, pool: Pool, changed: dict[str, Any]
) -> None:
    following = await runner.owner.fetchval(NEXT, await runner.create())
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(SET_TENANT, "default")
        with pytest.raises(asyncpg.CheckViolationError):
            async with conn.transaction():
                await conn.execute(INSERT, following, changed)
        await conn.execute(INSERT, following, {})


async def test_no_row_enters_in_the_name_of_another_tenant(runner: Runner, pool: Pool) -> None:
    following = await runner.owner.fetchval(NEXT, await runner.create())
    for tenant, changed in (
        ("default", {"tenant_id": "other"}),
        ("other", {}),
        ("other", {"tenant_id": "other"}),
    ):
        with pytest.raises(asyncpg.PostgresError):
            await alone(pool, tenant, INSERT, following, changed)


async def test_what_is_taken_from_the_queue_is_anchored_or_stays(
    runner: Runner, pool: Pool
) -> None:
    await runner.create()
    waiting = await runner.owner.fetchval(WAITING)
    with pytest.raises(asyncpg.RestrictViolationError):
        await alone(pool, "default", "SELECT proof.take(1, interval '0', 10)")
    assert waiting == await runner.owner.fetchval(WAITING) > 0


@pytest.mark.parametrize(("index", "row_hash"), [(0, "x"), (1, None), (7, None)])
async def test_no_forged_entry_enters_the_log(
    runner: Runner, pool: Pool, index: int, row_hash: str | None
) -> None:
    await runner.create()
    with pytest.raises(asyncpg.CheckViolationError):
        await alone(pool, "default", ENTRY, index, row_hash)
