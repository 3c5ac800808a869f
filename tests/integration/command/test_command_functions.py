"""look_up and begin_command: one row each, and one command at a time on a ticket."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from runtime.postgres.pool import Connection, Pool
from tests.integration.rows import ANSWER, add_audit, add_command, add_ticket

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

LOOK_UP = "SELECT * FROM look_up($1, 'a', '/t', $2, $3, $4)"
BEGIN = "SELECT * FROM begin_command($1, $2, $3, 'a', '/t', $4)"
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
DEADLINE_SECONDS = 10


async def begin(
    conn: Connection,
    ticket: UUID | None,
    *,
    command: UUID | None = None,
    request: UUID | None = None,
) -> asyncpg.Record:
    """Call begin_command in the default tenant."""
    row = await conn.fetchrow(BEGIN, "default", command or uuid4(), ticket, request or uuid4())
    assert row is not None
    return row


async def test_look_up_of_a_new_key_finds_the_ticket_alone(owner: Connection, pool: Pool) -> None:
    ticket = await add_ticket(owner)
    row = await pool.fetchrow(LOOK_UP, "default", uuid4(), "h", ticket)
    assert row is not None
    assert (row["idem_code"], row["rejections"], row["open_hash"]) == (None, 0, None)
    assert row["state"] == "NEW"
    assert isinstance(row["account_id"], UUID)
    assert isinstance(row["site_id"], UUID)


async def test_look_up_counts_rejections_of_the_same_request(owner: Connection, pool: Pool) -> None:
    request = uuid4()
    for request_hash, decision in (("h", "DENY"), ("h", "DENY"), ("other", "DENY"), ("open", None)):
        await add_command(
            owner, None, decision=decision, request=request, request_hash=request_hash
        )
    row = await pool.fetchrow(LOOK_UP, "default", request, "h", uuid4())
    assert row is not None
    assert (row["rejections"], row["open_hash"], row["state"]) == (2, "open", None)


async def test_a_foreign_answer_is_not_known(owner: Connection, pool: Pool) -> None:
    request = uuid4()
    await owner.execute(ANSWER, "acme", request, None)
    ours = await pool.fetchrow(LOOK_UP, "acme", request, "h", None)
    theirs = await pool.fetchrow(LOOK_UP, "default", request, "h", None)
    assert ours is not None
    assert theirs is not None
    assert (ours["idem_tenant"], ours["idem_text"]) == ("acme", '{"id": 1}')
    assert {theirs[name] for name in theirs.keys() if name.startswith("idem_")} == {None}  # noqa: SIM118  a record


async def test_an_answer_keeps_its_exact_text(owner: Connection, pool: Pool) -> None:
    request, text = uuid4(), '{"z":1,"id":1}'
    command = await add_command(owner, None, request=request)
    await owner.execute("UPDATE command_log SET response_text = $1", text)
    await owner.execute(ANSWER, "default", request, command)
    row = await pool.fetchrow(LOOK_UP, "default", request, "h", None)
    assert row is not None
    assert (row["idem_code"], row["idem_text"]) == (200, text)


async def test_a_foreign_ticket_does_not_exist(owner: Connection, pool: Pool) -> None:
    ticket = await add_ticket(owner, "acme")
    row = await pool.fetchrow(LOOK_UP, "default", uuid4(), "h", ticket)
    assert row is not None
    assert row["state"] is None
    async with pool.acquire() as conn, conn.transaction():
        assert (await begin(conn, ticket))["ticket"] is None


async def test_begin_returns_the_ticket_and_the_head_of_its_chain(
    owner: Connection, pool: Pool
) -> None:
    ticket = await add_ticket(owner)
    for seq in (1, 2):
        await add_audit(owner, ticket, seq)
    async with pool.acquire() as conn, conn.transaction():
        row = await begin(conn, ticket)
        assert (row["ticket"]["id"], row["ticket"]["state"]) == (ticket, "NEW")
        assert (row["chain_seq"], row["chain_hash"]) == (2, "0" * 64)
        assert row["started_at"] == await conn.fetchval("SELECT now()")
        assert await conn.fetchval("SELECT count(*) FROM tickets") == 1  # the tenant is set


async def test_begin_without_a_ticket_continues_the_tenants_chain(
    owner: Connection, pool: Pool
) -> None:
    await add_audit(owner, await add_ticket(owner), 7)
    await add_audit(owner, None, 3)
    async with pool.acquire() as conn, conn.transaction():
        row = await begin(conn, None)
        assert (row["ticket"], row["chain_seq"]) == (None, 3)


async def test_begin_returns_a_decision_that_was_already_taken(
    owner: Connection, pool: Pool
) -> None:
    decided = await add_command(owner, None, decision="DENY")
    undecided = await add_command(owner, None)
    async with pool.acquire() as conn, conn.transaction():
        assert (await begin(conn, None, command=decided))["log_decision"] == "DENY"
        assert (await begin(conn, None, command=undecided))["log_decision"] is None


async def test_begin_waits_for_the_command_before_it_and_sees_what_it_did(
    owner: Connection, pool: Pool
) -> None:
    ticket = await add_ticket(owner)
    async with pool.acquire() as first, pool.acquire() as second:
        turn = first.transaction()
        await turn.start()
        await begin(first, ticket)
        await add_audit(first, ticket, 1)

        async def follow() -> int | None:
            async with second.transaction():
                row = await begin(second, ticket)
                seq: int | None = row["chain_seq"]
                return seq

        waiting = asyncio.create_task(follow())
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await owner.fetchval(WAITING) == 0:
                assert not waiting.done()
        assert not waiting.done()
        await turn.commit()
        assert await waiting == 1


@pytest.mark.parametrize("function", ["look_up", "begin_command", "idempotency_row"])
async def test_only_the_application_may_call(owner: Connection, function: str) -> None:
    granted = await owner.fetchval(
        "SELECT array_agg(grantee::regrole::text ORDER BY 1) FROM pg_proc,"
        " aclexplode(proacl) WHERE proname = $1 AND grantee <> proowner",
        function,
    )
    roles = ["dispatch_app", "dispatch_gateway"]
    assert granted == (roles[:1] if function == "begin_command" else roles)
