"""Copies of checkpoints: one each, equal, in time; and nothing is signed after a fork."""

from pathlib import Path

import orjson
import pytest
from botocore.exceptions import ClientError

from api.ops.alerts import Alerts
from api.ops.runbooks import runbook_text
from api.wire.counters import Counters
from policy.audit.checkpoint import object_key
from records.audit.anchored_log import LogVerification
from records.audit.anchoring import AT_ONCE, Anchoring, ForkedLogError
from runtime.objects.vault import TakenError, Vault
from runtime.postgres.pool import Connection
from runtime.settings import Settings
from tests.integration.audit.signed_log import KEYS, anchored, faults, tamper
from tests.integration.command.command_runner import Runner
from tests.integration.rows import count
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
    "tests.integration.audit.signed_log",
]


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
        found = (await alerts.report(None))["alerts"]
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
