"""Stored evidence: nobody deletes, swaps or overwrites it unseen; holds and redactions."""

import hashlib
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from activities.evidence.upkeep import EvidenceRates, StoredEvidenceActivities
from contracts.evidence import Audited
from records.evidence.keeping import EvidenceVault, StoreUnavailableError
from records.evidence.owner_actions import EvidenceActionError
from records.evidence.store import EvidenceStore
from runtime.settings import Settings
from tests.integration.evidence.evidence_desk import AT_ONCE, Desk, pinned, place
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
    "tests.integration.evidence.evidence_desk",
]

FAILED = "SELECT failure FROM evidence_checks WHERE failure IS NOT NULL"


async def test_locked_evidence_can_neither_be_deleted_nor_overwritten(desk: Desk) -> None:
    item = await desk.record(await desk.runner.create(), b"the original")
    exact = pinned(item)
    with pytest.raises(ClientError, match="AccessDenied"):
        desk.client.delete_object(**exact)
    desk.client.put_object(**place(item), Body=b"another text", ContentType="image/jpeg")
    assert desk.client.get_object(**exact)["Body"].read() == b"the original"
    desk.client.delete_object(**place(item))  # a marker above it
    assert await desk.care().audit() == Audited(items=1, size_bytes=12, failures=0)


async def test_a_deleted_object_is_found_by_the_audit_and_raises_the_alert(desk: Desk) -> None:
    ticket = await desk.runner.create()
    item = await desk.record(ticket, b"soon gone")
    await desk.record(ticket, b"stays")
    exact = pinned(item)
    desk.client.delete_object(**exact, BypassGovernanceRetention=True)
    with capture_logs() as logs:
        audited = await desk.care().audit()
    assert (audited.items, audited.failures) == (2, 1)
    assert [entry["event"] for entry in logs] == ["evidence.integrity_failure"]
    assert [row["failure"] for row in await desk.runner.rows(FAILED)] == ["OBJECT_NOT_FOUND"]
    assert await desk.pool.fetchval("SELECT failed_evidence_checks()") == 1


async def test_the_audit_reads_what_waits_longest_at_the_set_rate(desk: Desk) -> None:
    ticket = await desk.runner.create()
    for text in (b"11111", b"22222", b"33333"):
        await desk.record(ticket, text)
    slow = EvidenceRates(timedelta(0), timedelta(0), 10)
    read = [(await desk.care(slow).audit()).items for _ in range(2)]
    assert read == [2, 2]
    assert len(await desk.runner.rows("SELECT FROM evidence_checks")) == 3
    off = EvidenceRates(timedelta(0), timedelta(0), 0)
    assert await desk.care(off).audit() == Audited()


async def test_references_into_our_bucket_are_read_like_uploads(desk: Desk) -> None:
    ticket = await desk.runner.create()
    digest = hashlib.sha256(b"by uri").hexdigest()

    async def add(key: str, checksum: str | None, scheme: str = "s3", bucket: str = BUCKET) -> None:
        reference = {"kind": "PHOTO", "uri": f"{scheme}://{bucket}/{key}", "checksum": checksum}
        await desk.runner.done("closeout.add_evidence", reference, ticket)

    desk.client.put_object(Bucket=BUCKET, Key="theirs/1.jpg", Body=b"by uri")
    await add("theirs/1.jpg", f" {digest.upper()}")
    await add("theirs/1.jpg", digest, scheme="MINIO")
    await add("theirs/1.jpg", digest, bucket="another")
    await add("theirs/1.jpg", None)
    await add("theirs/1.jpg", hashlib.md5(b"by uri", usedforsecurity=False).hexdigest())
    await desk.record(ticket, b"uploaded")
    assert await desk.care().audit() == Audited(items=3, size_bytes=20, unchecked=2)
    assert len(await desk.runner.rows("SELECT FROM evidence_checks")) == 3

    desk.client.put_object(Bucket=BUCKET, Key="theirs/1.jpg", Body=b"edited")
    assert (await desk.care().audit()).failures == 2
    assert [row["failure"] for row in await desk.runner.rows(FAILED)] == ["SHA256_MISMATCH"] * 2
    desk.client.delete_object(Bucket=BUCKET, Key="theirs/1.jpg")
    assert (await desk.care().audit()).failures == 2
    assert [row["failure"] for row in await desk.runner.rows(FAILED)] == ["OBJECT_NOT_FOUND"] * 2
    assert await desk.pool.fetchval("SELECT failed_evidence_checks()") == 2


async def test_a_reference_that_no_store_can_hold_does_not_stop_the_audit(desk: Desk) -> None:
    ticket = await desk.runner.create()
    refused = ("..", ".", "../../x", "a/./b", "a/../b")
    unknown = ("", "long" * 400, "with space and \u00fc?a=b#c", "\x01", "//", "a" * 300)
    for key in (*refused, *unknown):
        reference = {"kind": "NOTE", "uri": f"s3://{BUCKET}/{key}", "checksum": "a" * 64}
        await desk.runner.done("closeout.add_evidence", reference, ticket)
    await desk.record(ticket, b"whole")
    for _ in range(2):
        assert await desk.care().audit() == Audited(items=12, size_bytes=5, failures=11)
    found = Counter([row["failure"] for row in await desk.runner.rows(FAILED)])
    assert found == {"OBJECT_UNREADABLE": len(refused), "OBJECT_NOT_FOUND": len(unknown)}


async def test_a_store_that_cannot_be_asked_is_no_finding(desk: Desk) -> None:
    await desk.record(await desk.runner.create(), b"whole")
    gone = EvidenceStore(
        Settings.model_validate(
            {"s3_endpoint_url": "http://127.0.0.1:1", "s3_bucket": BUCKET, "s3_region": "x"}
            | {"s3_access_key_id": "x", "s3_secret_access_key": "y"}
        ),
        desk.runner.bundle.evidence,
    )
    care = StoredEvidenceActivities(desk.pool, EvidenceVault(gone.s3), AT_ONCE)
    with pytest.raises(StoreUnavailableError):
        await care.audit()
    assert await desk.runner.rows("SELECT FROM evidence_checks") == []


async def test_evidence_swapped_between_tickets_is_refused_and_detected(desk: Desk) -> None:
    mine, theirs = await desk.runner.create(), await desk.runner.create()
    signed = await desk.upload(theirs, b"their photo")
    assert (await desk.finalize(mine, signed)).code == "EVIDENCE_UPLOAD_NOT_FOUND"
    one = await desk.record(mine, b"one bytes")
    two = await desk.record(theirs, b"two bytes")
    await desk.runner.owner.execute(
        "UPDATE evidence_items SET object_version_id = $2 WHERE id = $1",
        UUID(one["id"]),
        two["object_version_id"],
    )
    problems = await desk.faults()
    assert [problem.split(" not as ")[0] for problem in problems] == ["object_version_id is"]
    assert (await desk.care().audit()).failures == 1

    # Even the bytes of one moved under the key of the other, with its own row, do not go unseen.
    moved = desk.client.put_object(**place(two), Body=b"one bytes", ContentType="image/jpeg")
    await desk.runner.owner.execute(
        "UPDATE evidence_items SET object_version_id = $2 WHERE id = $1",
        UUID(two["id"]),
        moved["VersionId"],
    )
    assert (await desk.care().audit()).failures == 2


async def test_a_legal_hold_outlasts_every_retention_until_it_is_released(desk: Desk) -> None:
    item = await desk.record(await desk.runner.create(), b"disputed")
    exact = pinned(item)
    evidence_id = UUID(item["id"])
    async with desk.acting() as actions:
        await actions.hold(evidence_id)
        with pytest.raises(EvidenceActionError):
            await actions.hold(evidence_id)
    with pytest.raises(ClientError, match="AccessDenied"):
        desk.client.delete_object(**exact, BypassGovernanceRetention=True)
    async with desk.acting() as actions:
        await actions.release(evidence_id)
        with pytest.raises(EvidenceActionError):
            await actions.release(evidence_id)
    desk.client.delete_object(**exact, BypassGovernanceRetention=True)
    tools = await desk.runner.rows("SELECT tool_name, actor_id FROM audit_events ORDER BY seq")
    assert [row["tool_name"] for row in tools][-2:] == ["evidence.hold", "evidence.release"]
    assert tools[-1]["actor_id"] == "olga"
    assert await desk.faults() == []


async def test_a_redaction_is_a_second_object_and_the_original_stays(
    desk: Desk, tmp_path: Path
) -> None:
    item = await desk.record(await desk.runner.create(), b"with a face")
    copy = tmp_path / "redacted.jpg"
    copy.write_bytes(b"without a face")
    async with desk.acting() as actions:
        uri = await actions.redact(UUID(item["id"]), copy)
    row = await desk.runner.row("SELECT * FROM evidence_redactions")
    assert (row["uri"], row["content_type"]) == (uri, "image/jpeg")
    assert row["sha256"] == hashlib.sha256(b"without a face").hexdigest()
    assert desk.client.get_object(**place({"uri": uri}))["Body"].read() == b"without a face"
    assert desk.client.get_object(**place(item))["Body"].read() == b"with a face"
    assert await desk.faults() == []
