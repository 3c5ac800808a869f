"""Anchoring: no row is skipped, the log only grows, and what was tampered with is named."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from records.audit.anchoring import AT_ONCE, Anchoring
from runtime.objects.vault import Vault
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.audit.signed_log import KEYS, anchored, faults, tamper
from tests.integration.command.command_runner import Runner
from tests.integration.rows import add_audit, add_ticket, count
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
    "tests.integration.audit.signed_log",
]

AN_HOUR = timedelta(hours=1)


async def test_every_row_gets_one_place_in_the_log(
    runner: Runner, anchoring: Anchoring, owner: Connection, database_url: str
) -> None:
    ticket = await anchored(runner, anchoring)
    rows = await owner.fetch(
        "SELECT e.log_index, a.seq FROM proof.entries e"
        " JOIN audit_events a ON a.id = e.audit_event_id WHERE a.ticket_id = $1"
        " ORDER BY e.log_index",
        ticket,
    )
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert await count(owner, "proof.entries") == await count(owner, "audit_events")
    assert await count(owner, "proof.checkpoints") == 3
    assert await faults(database_url) == []


async def test_nothing_is_anchored_before_it_is_due(
    runner: Runner, anchoring: Anchoring, owner: Connection
) -> None:
    await runner.create()
    assert await anchoring.anchor(2, AN_HOUR) is None
    await runner.create()
    checkpoint = await anchoring.anchor(2, AN_HOUR)
    assert checkpoint is not None
    assert checkpoint.tree_size == 2
    assert await anchoring.anchor(*AT_ONCE) is None
    assert await count(owner, "proof.queue") == 0


async def test_a_row_that_commits_late_is_anchored_late_and_never_skipped(
    anchoring: Anchoring, owner: Connection, pool: Pool, database_url: str
) -> None:
    tickets = [await add_ticket(owner) for _ in range(2)]
    async with pool.acquire() as conn:
        await conn.execute("BEGIN")
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        early = await add_audit(conn, tickets[0])
        late = await add_audit(owner, tickets[1])
        await anchoring.anchor(*AT_ONCE)
        await conn.execute("COMMIT")
    await anchoring.anchor(*AT_ONCE)
    rows = await owner.fetch("SELECT audit_event_id FROM proof.entries ORDER BY log_index")
    assert [row["audit_event_id"] for row in rows] == [late, early]
    assert await faults(database_url) == []


async def test_many_at_once_make_one_log(
    runner: Runner, pool: Pool, owner: Connection, database_url: str
) -> None:
    async def anchor_again_and_again() -> None:
        mine = Anchoring(pool, KEYS, None)
        for _ in range(20):
            await mine.anchor(*AT_ONCE)

    async def create() -> None:
        conn = await asyncpg.connect(database_url)
        mine = replace(runner, owner=conn)
        for _ in range(15):
            await mine.create()
        await conn.close()

    await asyncio.gather(*(anchor_again_and_again() for _ in range(3)), create(), create())
    await Anchoring(pool, KEYS, None).anchor(*AT_ONCE)
    assert await count(owner, "proof.entries") == 30
    assert await faults(database_url) == []


async def test_a_long_log_keeps_the_hashes_of_its_blocks(
    anchoring: Anchoring, owner: Connection, database_url: str
) -> None:
    for start in (0, 300, 450):
        await owner.execute(
            "INSERT INTO audit_events (actor_type, actor_id, tool_name, request_id,"
            " policy_bundle_sha256, seq, prev_hash, hash)"
            " SELECT 'AGENT', 'a', 't', gen_random_uuid(), '', n, repeat('0', 64),"
            " encode(sha256(n::text::bytea), 'hex') FROM generate_series($1::int, $2::int) n",
            start + 1,
            start + 300 if start == 0 else start + 150,
        )
        await anchoring.anchor(*AT_ONCE)
    spans = await owner.fetch("SELECT span_start, span_end FROM proof.nodes ORDER BY 1")
    assert [tuple(span) for span in spans] == [(0, 256), (256, 512)]
    assert await faults(database_url) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit_events SET hash = repeat('a', 64)", "changed since it was anchored"),
        ("DELETE FROM audit_events", "deleted since it was anchored"),
    ],
)
async def test_a_changed_row_is_named_even_if_its_whole_chain_was_hashed_anew(
    runner: Runner, anchoring: Anchoring, database_url: str, statement: str, problem: str
) -> None:
    ticket = await anchored(runner, anchoring)
    victim = await runner.owner.fetchval(
        "SELECT id FROM audit_events WHERE ticket_id = $1 AND seq = 3", ticket
    )
    await tamper(runner.owner, f"{statement} WHERE id = $1", victim)
    (fault,) = await faults(database_url)
    assert (fault.table, fault.row_id) == ("audit_events", str(victim))
    assert fault.problem.startswith(problem)


async def test_a_row_smuggled_past_the_log_is_named(
    runner: Runner, anchoring: Anchoring, owner: Connection, database_url: str
) -> None:
    await anchored(runner, anchoring)
    smuggled = uuid4()
    await tamper(
        owner,
        "INSERT INTO audit_events SELECT (jsonb_populate_record(a,"
        " jsonb_build_object('id', $1::text, 'seq', 99))).* FROM audit_events a LIMIT 1",
        str(smuggled),
    )
    assert [(f.row_id, f.problem) for f in await faults(database_url)] == [
        (str(smuggled), "it was never anchored and is not about to be")
    ]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE proof.checkpoints SET signature = repeat('0', 128) WHERE number = 2", "2"),
        ("UPDATE proof.checkpoints SET created_at = now() WHERE number = 1", "1"),
        ("UPDATE proof.checkpoints SET previous = repeat('0', 64) WHERE number = 3", "3"),
        ("UPDATE proof.entries SET row_hash = sha256('x') WHERE log_index = 0", "1"),
        ("DELETE FROM proof.checkpoints WHERE number = 2", "3"),
        ("DELETE FROM proof.checkpoints WHERE number = 3", None),
        ("DELETE FROM proof.entries WHERE log_index = 1", None),
    ],
)
async def test_a_tampered_log_is_not_whole(
    runner: Runner, anchoring: Anchoring, database_url: str, statement: str, named: str | None
) -> None:
    await anchored(runner, anchoring)
    await tamper(runner.owner, statement)
    found = [f.row_id for f in await faults(database_url) if f.table == "proof.checkpoints"]
    assert named in found


async def test_the_application_cannot_change_the_log(
    runner: Runner, anchoring: Anchoring, pool: Pool
) -> None:
    await anchored(runner, anchoring)
    for statement in (
        "UPDATE proof.checkpoints SET signature = repeat('0', 128)",
        "DELETE FROM proof.entries",
        "DELETE FROM proof.queue",
        "TRUNCATE proof.nodes",
    ):
        async with pool.acquire() as conn:
            with pytest.raises(Exception, match="permission denied"):
                await conn.execute(statement)


async def test_an_unreachable_store_only_delays_the_copies(
    runner: Runner, pool: Pool, owner: Connection, s3_settings: Settings
) -> None:
    away = s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"})
    waiting = Anchoring(pool, KEYS, Vault(away, BUCKET))
    await anchored(runner, waiting)
    await waiting.store()
    assert await count(owner, "proof.checkpoints") == 3
    assert await count(owner, "proof.stored_checkpoints") == 0
