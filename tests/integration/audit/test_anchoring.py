"""Anchoring: no row is skipped, the log only grows, and what was tampered with is named."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from botocore.exceptions import ClientError

from api.ops.alerts import Alerts
from api.ops.runbooks import runbook_text
from api.wire.counters import Counters
from policy.audit.chain import Fault
from policy.audit.checkpoint import object_key
from records.audit.anchored_log import LogVerification
from records.audit.anchoring import AT_ONCE, Anchoring, ForkedLogError
from records.audit.signing_keys import SigningKeys
from runtime.key_ring import new_key
from runtime.objects.vault import TakenError, Vault
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.rows import add_audit, add_ticket, count
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

KEYS = SigningKeys.read([new_key("one")])
AN_HOUR = timedelta(hours=1)


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.fixture
def anchoring(pool: Pool) -> Anchoring:
    return Anchoring(pool, KEYS, None)


@pytest.fixture
def vault(s3_settings: Settings) -> Vault:
    """Open a new bucket with Object Lock, because what is locked stays."""
    empty = Vault(s3_settings, f"log-{uuid4()}")
    empty.client.create_bucket(Bucket=empty.bucket, ObjectLockEnabledForBucket=True)
    return empty


async def tamper(owner: Connection, statement: str, *values: object) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(statement, *values)


async def faults(url: str, vault: Vault | None = None) -> list[Fault]:
    return [fault async for fault in LogVerification(url, KEYS, vault).faults()]


async def anchored(runner: Runner, anchoring: Anchoring) -> UUID:
    """Make three checkpoints over the rows of one ticket and return its id."""
    ticket = await runner.scheduled()
    await anchoring.anchor(*AT_ONCE)
    for _ in range(2):
        await runner.add_evidence(ticket)
        await anchoring.anchor(*AT_ONCE)
    return ticket


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


async def test_checkpoints_reach_the_object_store_locked_and_are_compared_with_it(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    anchoring = Anchoring(runner.pool, KEYS, vault)
    await anchored(runner, anchoring)
    await anchoring.store()
    stored = await owner.fetch("SELECT * FROM proof.stored_checkpoints ORDER BY number")
    assert [row["number"] for row in stored] == [1, 2, 3]
    assert all(row["object_version_id"] and row["retention_until"] for row in stored)
    document = orjson.loads(await vault.read(object_key(3)))
    assert document["checkpoint"]["number"] == 3
    assert await faults(database_url, vault) == []
    with pytest.raises(TakenError):
        await vault.keep(object_key(3), b"{}", "application/json")

    newer = KEYS.sign(b"another message").signature.hex()
    await tamper(owner, "UPDATE proof.checkpoints SET signature = $1 WHERE number = 3", newer)
    problems = [f.problem for f in await faults(database_url, vault)]
    assert "it is not the one that the object store holds" in problems

    await tamper(owner, "DELETE FROM proof.checkpoints WHERE number = 3")
    await tamper(owner, "DELETE FROM proof.stored_checkpoints WHERE number = 3")
    problems = [f.problem for f in await faults(database_url, vault)]
    assert f"the object store holds {object_key(3)}, the database does not" in problems


async def test_a_stored_checkpoint_cannot_be_deleted_and_hiding_it_is_noticed(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    anchoring = Anchoring(runner.pool, KEYS, vault)
    await anchored(runner, anchoring)
    await anchoring.store()
    version = await owner.fetchval(
        "SELECT object_version_id FROM proof.stored_checkpoints WHERE number = 3"
    )
    client, bucket = vault.client, vault.bucket
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key=object_key(3), VersionId=version)
    # A newer version can hide it, not replace it.
    client.put_object(Bucket=bucket, Key=object_key(3), Body=b"{}")
    problems = [fault.problem for fault in await faults(database_url, vault)]
    assert problems == ["the object store holds 2 versions of it"]
    client.delete_object(Bucket=bucket, Key=object_key(2))
    problems = [fault.problem for fault in await faults(database_url, vault)]
    assert problems == ["the object store holds 2 versions of it"] * 2


async def rewritten(owner: Connection) -> None:
    """Rewrite history as the database's owner: rows, and the log from the second checkpoint on."""
    await tamper(owner, "CREATE TABLE mine AS SELECT * FROM proof.entries WHERE log_index >= 4")
    for statement in (
        (
            "UPDATE audit_events SET hash = encode(sha256(id::text::bytea), 'hex'),"
            ' payload = payload || \'{"reason": "another"}\''
            " WHERE id IN (SELECT audit_event_id FROM mine)"
        ),
        "DELETE FROM proof.queue",
        (
            "INSERT INTO proof.queue (audit_event_id)"
            " SELECT audit_event_id FROM mine ORDER BY log_index"
        ),
        "DELETE FROM proof.entries WHERE audit_event_id IN (SELECT audit_event_id FROM mine)",
        "DELETE FROM proof.stored_checkpoints WHERE number > 1",
        "DELETE FROM proof.checkpoints WHERE number > 1",
    ):
        await tamper(owner, statement)


async def test_history_that_the_databases_owner_rewrote_is_not_signed_again(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    anchoring = Anchoring(runner.pool, KEYS, vault)
    await anchored(runner, anchoring)
    await anchoring.store()
    await rewritten(owner)
    await runner.create()
    await owner.execute("UPDATE proof.queue SET queued_at = now() - interval '1 hour'")
    for _ in range(2):
        with pytest.raises(ForkedLogError, match="holds checkpoint 2 already"):
            await anchoring.turn()
    assert await count(owner, "proof.checkpoints") == 1
    problems = [fault.problem for fault in await faults(database_url, vault)]
    for number in (2, 3):
        assert f"the object store holds {object_key(number)}, the database does not" in problems
    await owner.execute("UPDATE proof.queue SET queued_at = now() - interval '1 hour'")
    assert await owner.fetchval("SELECT proof.late_records('15 min')") > 0


async def test_history_that_was_signed_again_behind_the_stores_back_is_named(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    anchoring = Anchoring(runner.pool, KEYS, vault)
    await anchored(runner, anchoring)
    await anchoring.store()
    root = await owner.fetchval("SELECT root_hash FROM proof.checkpoints WHERE number = 3")
    await rewritten(owner)
    blind = Anchoring(runner.pool, KEYS, None)  # as while the store is out of reach
    for _ in range(3):
        await blind.anchor(*AT_ONCE)
        await runner.create()
    with pytest.raises(ForkedLogError, match="is another one"):
        await anchoring.turn()
    for number in (2, 3):  # the owner claims that these have their copies, and the log goes on
        await owner.execute(
            "INSERT INTO proof.stored_checkpoints (number, uri) VALUES ($1, 's3://x/y')", number
        )
    await anchoring.store()
    await anchoring.anchor(*AT_ONCE)
    await anchoring.store()
    assert await count(owner, "proof.stored_checkpoints") > 3
    named = {
        fault.row_id: fault.problem
        for fault in await faults(database_url, vault)
        if fault.table == "proof.checkpoints"
    }
    assert named == dict.fromkeys(("2", "3"), "it is not the one that the object store holds")
    log = LogVerification(database_url, KEYS, None, {3: root})
    assert [fault.problem async for fault in log.faults()] == [
        "it does not have the root that was kept of it"
    ]


async def test_a_checkpoint_that_stays_without_a_copy_is_a_fault(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    await anchored(runner, Anchoring(runner.pool, KEYS, None))
    assert await faults(database_url, vault) == []
    assert await owner.fetchval("SELECT proof.late_records('15 min')") == 0
    monkey = "UPDATE proof.checkpoints SET created_at = created_at - interval '20 minutes'"
    await tamper(owner, monkey)
    problems = [fault.problem for fault in await faults(database_url, vault)]
    assert problems.count("the object store holds no copy of it") == 3
    for bucket, raised in ((None, []), (BUCKET, [("AUDIT_NOT_ANCHORED", 3)])):
        settings = Settings.model_validate({"s3_bucket": bucket})
        alerts = Alerts(settings, runner.bundle, Counters(), runner.pool)
        found = (await alerts.report())["alerts"]
        assert [(each["code"], each["count"]) for each in found] == raised
        assert all(runbook_text(Path(each["runbook"]).name) for each in found)


async def test_rows_that_wait_for_long_to_be_anchored_are_a_fault(
    runner: Runner, owner: Connection, database_url: str, vault: Vault
) -> None:
    await anchored(runner, Anchoring(runner.pool, KEYS, vault))
    await runner.create()
    assert await faults(database_url, vault) == []
    await tamper(
        owner,
        "UPDATE audit_events SET created_at = created_at - interval '1 hour'"
        " WHERE id IN (SELECT audit_event_id FROM proof.queue)",
    )
    (fault,) = await faults(database_url, vault)
    assert fault.problem.startswith("1 rows wait to be anchored, the oldest since ")


async def test_a_log_whose_last_checkpoint_is_not_ours_is_not_extended(
    runner: Runner, anchoring: Anchoring, owner: Connection
) -> None:
    await anchored(runner, anchoring)
    await tamper(owner, "UPDATE proof.checkpoints SET root_hash = repeat('0', 64)")
    await runner.create()
    with pytest.raises(ForkedLogError, match="checkpoint 3 is not signed by a key of ours"):
        await anchoring.anchor(*AT_ONCE)


async def test_an_unreachable_store_only_delays_the_copies(
    runner: Runner, pool: Pool, owner: Connection, s3_settings: Settings
) -> None:
    away = s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"})
    waiting = Anchoring(pool, KEYS, Vault(away, BUCKET))
    await anchored(runner, waiting)
    await waiting.store()
    assert await count(owner, "proof.checkpoints") == 3
    assert await count(owner, "proof.stored_checkpoints") == 0
