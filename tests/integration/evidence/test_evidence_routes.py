"""The supporting routes of evidence, the schedules that look after it, and what operators do."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from temporalio.client import WorkflowExecutionStatus
from typer.testing import CliRunner

from cli.main import app
from contracts.evidence import AUDIT_WORKFLOW, SWEEP_WORKFLOW
from contracts.standing import standing_id
from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from runtime.temporal.standing import ensure_standing
from tests.integration.evidence.evidence_desk import LARGE, announced
from tests.integration.evidence.image_files import photo
from tests.integration.servers.gateway import TestGateway

RUNNING = WorkflowExecutionStatus.RUNNING
pytest_plugins = ["tests.integration.servers.stack_fixture"]

DAMAGE = """
INSERT INTO evidence_checks (evidence_item_id, ticket_id, checked_at, failure, failed_since)
VALUES ($1, $2, now(), 'OBJECT_NOT_FOUND', now())
"""


def presigned(gateway: TestGateway, ticket: str, content: bytes) -> dict[str, Any]:
    signed: dict[str, Any] = gateway.done(f"/tickets/{ticket}/evidence/presign", announced(content))
    return signed


def recorded(gateway: TestGateway, ticket: str, content: bytes) -> dict[str, Any]:
    signed = presigned(gateway, ticket, content)
    permission = signed["upload"]
    httpx.put(
        permission["url"], content=content, headers=permission["headers"], trust_env=False
    ).raise_for_status()
    done = gateway.done(f"/tickets/{ticket}/evidence/finalize", {"uri": signed["uri"]})
    item: dict[str, Any] = done
    return item


def link(gateway: TestGateway, item: dict[str, Any], role: str, **query: str) -> httpx.Response:
    return gateway.get(f"/tickets/{item['ticket_id']}/evidence/{item['id']}/link", role, **query)


def test_a_link_leads_to_the_bytes_for_a_short_time(gateway: TestGateway) -> None:
    content = photo()
    item = recorded(gateway, gateway.new_ticket(), content)
    for role in ("dispatcher", "technician", "qa", "audit"):
        answer = link(gateway, item, role).json()
        assert (answer["variant"], answer["sha256"]) == ("original", item["checksum"])
        got = httpx.get(answer["url"], trust_env=False)
        assert got.content == content
        assert got.headers["content-disposition"] == (
            f'attachment; filename="{item["id"]}-original.jpg"'
        )
    thumbnail = link(gateway, item, "qa", variant="thumbnail").json()
    assert httpx.get(thumbnail["url"], trust_env=False).content.startswith(b"\xff\xd8\xff")
    spoilt = answer["url"][:-1] + ("0" if answer["url"][-1] != "0" else "1")
    assert httpx.get(spoilt, trust_env=False).status_code == 403


def thumbnails(gateway: TestGateway, ticket: str) -> list[dict[str, Any]]:
    packet = gateway.get(f"/ux/technician/job-packet/{ticket}", role="technician").json()["packet"]
    found: list[dict[str, Any]] = packet["evidence_requirements"]["thumbnails"]
    return found


def test_the_packet_leads_to_the_picture_those_who_may_see_the_ticket(
    gateway: TestGateway,
) -> None:
    ticket = gateway.new_ticket()
    forged = {"inspection": {"thumbnail": {"uri": "s3://b/x"}}}
    added = {"kind": "PHOTO", "uri": "s3://b/1", "evidence_key": "k", "metadata": forged}
    gateway.done(f"/tickets/{ticket}/evidence", added)
    recorded(gateway, ticket, b"no picture")
    item = recorded(gateway, ticket, photo())
    [shown] = thumbnails(gateway, ticket)
    assert shown["evidence_item_id"] == item["id"]

    def follow(headers: Mapping[str, str]) -> dict[str, Any]:
        body: dict[str, Any] = gateway.http.get(shown["link_url"], headers=headers).json()
        return body

    answer = follow(gateway.as_role("technician"))
    assert answer["variant"] == "thumbnail"
    got = httpx.get(answer["url"], trust_env=False).content
    assert (got[:3], hashlib.sha256(got).hexdigest()) == (b"\xff\xd8\xff", answer["sha256"])
    scope = {"account_ids": [str(uuid4())], "site_ids": "*"}
    out_of_scope = follow(gateway.bearer("technician", scope=scope))
    assert out_of_scope["error"]["code"] == "FORBIDDEN_SCOPE"
    assert follow(gateway.as_role("customer"))["error"]["code"] == "FORBIDDEN"


def test_a_link_needs_role_scope_and_evidence_of_the_ticket(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    item = recorded(gateway, ticket, b"a photo")
    path = f"/tickets/{ticket}/evidence/{item['id']}/link"
    assert link(gateway, item, "customer").json()["error"]["code"] == "FORBIDDEN"
    limited = gateway.as_role("dispatcher", X_Account_Scope=str(uuid4()))
    answer = gateway.http.get(path, headers=limited)
    assert answer.json()["error"]["code"] == "FORBIDDEN_SCOPE"
    other = {**item, "ticket_id": gateway.new_ticket()}
    assert link(gateway, other, "dispatcher").status_code == 404
    assert link(gateway, {**item, "id": "x"}, "dispatcher").status_code == 404
    assert link(gateway, item, "dispatcher", variant="x").json()["error"]["code"] == "INVALID_QUERY"
    assert link(gateway, item, "dispatcher", variant="redacted").status_code == 404
    assert gateway.http.get(path).json()["error"]["code"] == "MISSING_ACTOR_CONTEXT"


def test_after_a_redaction_links_lead_to_the_redacted_copy(
    gateway: TestGateway, tmp_path: Path
) -> None:
    item = recorded(gateway, gateway.new_ticket(), photo())
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(b"without a face")
    environ = {**gateway.env, "DISPATCH_DATABASE_URL": gateway.owner_url}
    arguments = ["evidence", "redact", item["id"], str(copy), "--reason", "a face", "--as", "olga"]
    done = CliRunner().invoke(app, arguments, env=environ)
    assert done.exit_code == 0, done.output
    answer = link(gateway, item, "dispatcher").json()
    assert answer["variant"] == "redacted"
    assert httpx.get(answer["url"], trust_env=False).content == b"without a face"
    for variant in ("original", "thumbnail"):
        refused = link(gateway, item, "dispatcher", variant=variant)
        assert refused.json()["error"]["code"] == "FORBIDDEN"
        assert link(gateway, item, "approver", variant=variant).is_success
    assert thumbnails(gateway, item["ticket_id"]) == []
    for verb in ("hold", "release"):
        arguments = ["evidence", verb, item["id"], "--reason", "a dispute", "--as", "olga"]
        assert CliRunner().invoke(app, arguments, env=environ).exit_code == 0
        assert CliRunner().invoke(app, arguments, env=environ).exit_code == 1
    timeline = gateway.get(f"/tickets/{item['ticket_id']}/timeline").json()["events"]
    assert [event["tool_name"] for event in timeline][-3:] == [
        *("evidence.redact", "evidence.hold", "evidence.release")
    ]


def test_an_upload_tells_how_far_it_is_and_goes_on_with_fresh_links(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    key, payload = str(uuid4()), announced(LARGE)
    path = f"/tickets/{ticket}/evidence/presign"
    first = gateway.post(path, payload, key=key).json()
    assert gateway.post(path, payload, key=key).json() == first
    status = f"/tickets/{ticket}/evidence/uploads/{first['upload_id']}"
    begun = gateway.get(status, "technician").json()
    assert (begun["status"], begun["received"], begun["multipart"]["parts_received"]) == (
        *("open", False, []),
    )
    part_bytes = begun["multipart"]["part_bytes"]
    for sent in (begun["multipart"]["parts"][:1], None):
        for part in sent or gateway.get(status).json()["multipart"]["parts"]:
            start = (part["part_number"] - 1) * part_bytes
            body = LARGE[start : start + part["size_bytes"]]
            httpx.put(part["url"], content=body, trust_env=False).raise_for_status()
    there = gateway.get(status).json()["multipart"]
    assert (there["parts_received"], there["parts"]) == ([1, 2, 3], [])
    item = gateway.done(f"/tickets/{ticket}/evidence/finalize", {"uri": first["uri"]})
    assert item["checksum"] == hashlib.sha256(LARGE).hexdigest()
    ended = gateway.get(status).json()
    assert (ended["status"], ended["evidence_item_id"]) == ("finalized", item["id"])
    assert gateway.get(status, "qa").json()["error"]["code"] == "FORBIDDEN"
    elsewhere = status.replace(ticket, gateway.new_ticket())
    assert gateway.get(elsewhere).status_code == 404


def test_a_cancelled_ticket_gets_no_fresh_links(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    signed = presigned(gateway, ticket, LARGE)
    gateway.done(f"/tickets/{ticket}/cancel", {"reason": "not needed"})
    status = gateway.get(f"/tickets/{ticket}/evidence/uploads/{signed['upload_id']}").json()
    assert (status["status"], status["multipart"]["parts"]) == ("open", [])


async def test_a_worker_keeps_the_workflows_up_that_look_after_evidence(
    gateway: TestGateway,
) -> None:
    settings, _ = load_settings(gateway.env)
    client = await connect_temporal(settings)
    await ensure_standing(client, settings)  # as the next worker does
    recorded(gateway, gateway.new_ticket(), os.urandom(16))
    for workflow in (SWEEP_WORKFLOW, AUDIT_WORKFLOW):
        name = standing_id(workflow)
        assert (await client.get_workflow_handle(name).describe()).status is RUNNING
        once: dict[str, int] = await client.execute_workflow(
            workflow, id=f"{name}-once", task_queue=settings.temporal_task_queue
        )
        assert "failures" in once or "uploads" in once


async def test_damaged_evidence_raises_an_alert_that_leads_to_its_runbook(
    gateway: TestGateway,
) -> None:
    item = recorded(gateway, gateway.new_ticket(), b"a photo")
    assert codes(gateway) == []
    async with gateway.owner() as owner:
        await owner.execute(DAMAGE, item["id"], item["ticket_id"])
        try:
            (alert,) = [
                each
                for each in gateway.get("/ops/alerts").json()["alerts"]
                if each["code"] == "EVIDENCE_INTEGRITY"
            ]
        finally:
            await owner.execute("DELETE FROM evidence_checks")
    assert (alert["count"], alert["severity"]) == (1, "warning")
    assert alert["tickets"] == [item["ticket_id"]]
    assert gateway.http.get(alert["runbook_url"]).text.startswith("# Stored evidence")


def codes(gateway: TestGateway) -> list[str]:
    alerts = gateway.get("/ops/alerts").json()["alerts"]
    return [each["code"] for each in alerts if each["code"] == "EVIDENCE_INTEGRITY"]
