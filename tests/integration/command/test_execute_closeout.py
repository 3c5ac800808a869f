"""Evidence, exceptions, bypass and forced closing: what each leaves in Postgres."""

from uuid import UUID, uuid4

import pytest

from policy.evidence.model import LookUp, StoredObject
from policy.model import Role
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import CHECKLIST, WINDOW, Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

COMMON = {"endpoint", "requested_at", "request"}
SHA256 = "ab" * 32
ANNOUNCED = {
    "kind": "PHOTO",
    "evidence_key": "photo_after_latched_alignment",
    "content_type": "image/jpeg",
    "size_bytes": 7,
    "sha256": SHA256.upper(),
}
FORCED = {
    "override_code": "OVERRIDE-1",
    "override_reason": "The customer moved out yesterday",
    "approver_role": "dispatcher",
}


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def test_an_upload_is_announced_verified_and_recorded_once(runner: Runner) -> None:
    ticket = await runner.create()
    answer = await runner.run("evidence.presign", ANNOUNCED, ticket)
    presigned = answer.body
    assert answer.status == 201
    row = await runner.row("SELECT * FROM evidence_uploads")
    assert str(row["id"]) == presigned["upload_id"]
    assert row["object_key"] == f"evidence/default/{ticket}/{row['id']}/{SHA256}"
    audit = (await runner.audit(answer.command_id))["payload"]
    assert set(audit) - COMMON == {"upload_id", "kind", "evidence_key", "object_key"}

    uri = {"uri": presigned["uri"]}
    missing = await runner.run("evidence.finalize", uri, ticket)
    assert missing.error["failure"] == "OBJECT_NOT_FOUND"
    found = StoredObject(size_bytes=7, sha256=SHA256, content_type="image/jpeg", version_id="v1")
    runner.memory.held = {row["object_key"]: found}
    item = await runner.done(
        "evidence.finalize", {**uri, "metadata": {"sha256": "x", "a": 1}}, ticket
    )
    assert item["metadata"] == {
        "a": 1,
        "evidence_key": "photo_after_latched_alignment",
        "upload_id": presigned["upload_id"],
        "sha256": SHA256,
    }
    assert (item["checksum"], item["object_version_id"], item["size_bytes"]) == (SHA256, "v1", 7)
    upload = await runner.row("SELECT * FROM evidence_uploads")
    assert (str(upload["evidence_item_id"]), upload["finalized_at"] is None) == (item["id"], False)
    again = await runner.run("evidence.finalize", uri, ticket)
    assert again.error["code"] == "EVIDENCE_UPLOAD_FINALIZED"
    assert again.error["evidence_item_id"] == item["id"]


async def test_without_a_store_the_same_key_may_be_repeated_later(runner: Runner) -> None:
    ticket, key = await runner.create(), str(uuid4())
    runner.memory.held = None
    down = await runner.run("evidence.presign", ANNOUNCED, ticket, request_id=key)
    assert (down.status, down.code) == (503, "OBJECT_STORE_UNAVAILABLE")
    runner.memory.held = {}
    up = await runner.run("evidence.presign", ANNOUNCED, ticket, request_id=key)
    assert up.status == 201
    runner.memory.held = None
    final = await runner.run("evidence.finalize", {"uri": up.body["uri"]}, ticket)
    assert final.code == "OBJECT_STORE_UNAVAILABLE"


async def test_an_upload_belongs_to_its_ticket(runner: Runner) -> None:
    ticket, other = await runner.create(), await runner.create()
    presigned = await runner.done("evidence.presign", ANNOUNCED, ticket)
    foreign = await runner.run("evidence.finalize", {"uri": presigned["uri"]}, other)
    assert (foreign.status, foreign.code) == (404, "EVIDENCE_UPLOAD_NOT_FOUND")


async def test_with_look_ups_on_a_reference_must_exist(runner: Runner) -> None:
    rules = runner.bundle.evidence.model_copy(update={"require_head": True})
    runner.bundle = runner.bundle.model_copy(update={"evidence": rules})
    ticket = await runner.create()
    item = {"kind": "PHOTO", "uri": "s3://evidence/a"}
    refused = await runner.run("closeout.add_evidence", item, ticket)
    assert refused.error["head_check_failure"] == "UNREACHABLE_URI"
    runner.memory.heads = {"s3://evidence/a": LookUp()}
    await runner.done("closeout.add_evidence", item, ticket)


async def test_an_exception_of_qa_stands_in_for_missing_evidence(runner: Runner) -> None:
    ticket = await runner.in_progress()
    for key in ("note_adjustments_and_test_cycles", "photo_after_latched_alignment"):
        item = {"kind": "PHOTO", "uri": f"s3://evidence/{key}", "evidence_key": key}
        await runner.done("closeout.add_evidence", item, ticket)
    missing = ["photo_before_door_edge_and_strike"]
    asked = {"exception_reason": "No light", "evidence_refs": missing, "expires_at": "2099-01-01"}
    body = await runner.done("closeout.evidence_exception", asked, ticket, Role.DISPATCHER)
    assert body["effective"] is False
    attempt = {"checklist_status": CHECKLIST, "no_signature_reason": "Nobody there"}
    refused = await runner.run("tech.complete", attempt, ticket)
    assert refused.error["missing_evidence_keys"] == missing

    body = await runner.done("closeout.evidence_exception", asked, ticket, Role.QA)
    assert (body["effective"], body["expires_at"]) == (True, "2099-01-01T00:00:00.000Z")
    answer = await runner.run("tech.complete", attempt, ticket)
    audit = (await runner.audit(answer.command_id))["payload"]
    assert audit["closeout_check"]["excepted_evidence_keys"] == missing
    rows = await runner.rows("SELECT evidence_keys, granted_role FROM evidence_exceptions")
    assert [row["granted_role"] for row in rows] == ["dispatcher", "qa"]


async def test_a_candidate_of_low_risk_completes_with_its_profile(runner: Runner) -> None:
    ticket = await runner.in_progress()
    await runner.add_evidence(ticket)
    answer = await runner.run("closeout.candidate", {"checklist_status": CHECKLIST}, ticket)
    audit = (await runner.audit(answer.command_id))["payload"]
    assert set(audit) - COMMON == {
        *("closeout_check", "no_signature_reason", "evidence_refs", "persisted_evidence_count"),
        *("risk_profile", "evidence_scope"),
    }
    assert audit["risk_profile"]["level"] == "low"


async def test_after_a_manual_bypass_only_force_close_closes(runner: Runner) -> None:
    ticket = await runner.in_progress()
    await runner.done("dispatch.manual_bypass", {"bypass_rationale": "Tablet lost"}, ticket)
    verified = await runner.run("qa.verify", {"timestamp": WINDOW["end"], "result": "PASS"}, ticket)
    assert verified.error["requirement_code"] == "MISSING_SIGNATURE_CONFIRMATION"
    wrong = await runner.run("ticket.force_close", FORCED, ticket, Role.APPROVER)
    assert (wrong.status, wrong.code) == (403, "FORBIDDEN")

    answer = await runner.run("ticket.force_close", FORCED, ticket)

    assert answer.body["ticket"]["state"] == "CLOSED"
    audit = (await runner.audit(answer.command_id))["payload"]
    assert (audit["gate_waived"], audit["policy_override"]) == (True, True)
    packet = (await runner.row("SELECT * FROM closeout_artifacts"))["artifact_payload"]
    assert packet["override_flags"]["override_code"] == "OVERRIDE-1"
    assert len(packet["evidence_summary"]["required_evidence"]) == 4


async def test_a_bypass_of_a_completed_ticket_becomes_the_newest_context(runner: Runner) -> None:
    ticket = await runner.completed()
    answer = await runner.run("dispatch.manual_bypass", {"bypass_rationale": "Again"}, ticket)
    audit = await runner.audit(answer.command_id)
    assert audit["payload"]["derived_transitions"] == []
    assert (audit["before_state"], audit["after_state"]) == ("COMPLETED_PENDING_VERIFICATION",) * 2
    assert answer.body["version"] == 7


async def test_a_reopened_ticket_keeps_its_sealed_evidence(runner: Runner) -> None:
    ticket = await runner.completed()
    await runner.done("qa.verify", {"timestamp": WINDOW["end"], "result": "PASS"}, ticket)
    await runner.done("billing.generate_invoice", {}, ticket)
    answer = await runner.run("reopen_after_verification", {"reason": "Jams again"}, ticket)
    assert (await runner.audit(answer.command_id))["payload"]["invoice_reversal"] is True
    assert await runner.row("SELECT DISTINCT is_immutable FROM evidence_items") == {
        "is_immutable": True
    }


async def test_a_rejected_finalize_leaves_the_upload_open(runner: Runner) -> None:
    ticket = await runner.create()
    presigned = await runner.done("evidence.presign", ANNOUNCED, ticket)
    runner.memory.held = {presigned["object_key"]: StoredObject(size_bytes=8)}
    answer = await runner.run("evidence.finalize", {"uri": presigned["uri"]}, ticket)
    expected = {"failure": "SIZE_MISMATCH", "expected": 7, "actual": 8}
    assert {name: answer.error[name] for name in expected} == expected
    row = await runner.row(
        "SELECT * FROM evidence_uploads WHERE id = $1", UUID(presigned["upload_id"])
    )
    assert row["evidence_item_id"] is None
    assert await count(runner.owner, "evidence_items") == 0


async def test_returned_work_is_told_to_the_technician_and_completed_anew(runner: Runner) -> None:
    await runner.owner.execute("UPDATE technicians SET phone = '+15550100'")
    ticket = await runner.completed()
    said = {"reason": "The latch does not close", "findings": [{"key": "photo", "note": "Blurred"}]}

    back = await runner.done("qa.return", said, ticket, Role.QA)
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
    again = await runner.done("qa.return", said, ticket)

    assert back["state"] == again["state"] == "IN_PROGRESS"
    messages = await runner.rows(
        "SELECT * FROM dispatch_outbox WHERE event_type = 'qa.return.sms' ORDER BY created_at"
    )
    assert [message["payload"]["to"] for message in messages] == ["+15550100"] * 2
