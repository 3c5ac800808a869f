"""Metrics, alerts, runbooks and sinks of a gateway (contract 15.2, 15.3, 15.5)."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

ROOT = Path(__file__).parents[3]
RUNBOOK = "dispatch/ops/runbooks/"


async def counters(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    body: dict[str, Any] = (await client.get("/metrics", headers=headers)).json()["counters"]
    return body


async def send(
    gateway: TestGateway,
    client: httpx.AsyncClient,
    path: str,
    body: object,
    role: str = "dispatcher",
    **headers: str,
) -> httpx.Response:
    identity = {**gateway.as_role(role), "Idempotency-Key": str(uuid4()), **headers}
    return await client.post(path, json=body, headers=identity)


async def test_a_process_starts_with_nothing_but_this_request(gateway: TestGateway) -> None:
    async with gateway.sibling() as client:
        assert await counters(client) == {
            "requests_total": [
                {"method": "GET", "endpoint": "/metrics", "status": 200, "count": 1}
            ],
            "errors_total": [],
            "transitions_total": [],
            "idempotency_replay_total": 0,
            "idempotency_conflict_total": 0,
            "dispatch_override_close_total": 0,
            "dispatch_override_close_by_code": [],
            "dispatch_assignments_with_snapshot_total": 0,
            "dispatch_assignments_without_snapshot_total": 0,
        }


async def test_facts_are_counted_once_and_replays_as_requests(gateway: TestGateway) -> None:
    async with gateway.sibling() as client:
        key = {"Idempotency-Key": str(uuid4())}
        body = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
        for _ in range(3):
            created = await send(gateway, client, "/tickets", body, **key)
        await send(gateway, client, "/tickets", {**body, "summary": "Other"}, **key)
        ticket = created.json()["id"]
        triage = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
        await send(
            gateway, client, f"/tickets/{ticket}/triage", {**triage, "ready_to_schedule": True}
        )
        await send(gateway, client, f"/tickets/{ticket}/close", {})
        found = await counters(client)

    requests = {
        (each["endpoint"], each["status"]): each["count"] for each in found["requests_total"]
    }
    assert requests["/tickets", 201] == 3
    assert requests["/tickets", 409] == 1
    assert requests["/metrics", 200] == 1
    assert found["errors_total"] == [
        {"code": "IDEMPOTENCY_PAYLOAD_MISMATCH", "count": 1},
        {"code": "INVALID_STATE_TRANSITION", "count": 1},
    ]
    assert found["transitions_total"] == [
        {"from_state": None, "to_state": "NEW", "count": 1},
        {"from_state": "NEW", "to_state": "TRIAGED", "count": 1},
        {"from_state": "TRIAGED", "to_state": "READY_TO_SCHEDULE", "count": 1},
    ]
    assert (found["idempotency_replay_total"], found["idempotency_conflict_total"]) == (2, 1)


async def test_dispatches_and_forced_closes_are_counted_with_their_circumstances(
    gateway: TestGateway,
) -> None:
    tickets = [gateway.scheduled_ticket() for _ in range(2)]
    async with gateway.sibling() as client:
        path = f"/tickets/{tickets[0]}/assignment"
        advice = (
            await send(gateway, client, f"{path}/recommend", {"service_type": "DEFAULT"})
        ).json()
        dispatched = {
            "tech_id": gateway.tech_id,
            "recommendation_snapshot_id": advice["snapshot_id"],
        }
        await send(gateway, client, f"{path}/dispatch", dispatched)
        without = {"tech_id": gateway.tech_id}
        await send(gateway, client, f"/tickets/{tickets[1]}/assignment/dispatch", without)
        arrived = {"timestamp": gateway.window()["start"]}
        await send(gateway, client, f"/tickets/{tickets[1]}/tech/check-in", arrived)
        bypass = {"bypass_rationale": "door secured by another company"}
        await send(gateway, client, f"/tickets/{tickets[1]}/dispatch/manual-bypass", bypass)
        force = {
            "override_code": "NO-PROOF",
            "override_reason": "the customer confirmed the work by phone",
            "approver_role": "dispatcher",
        }
        closed = await send(gateway, client, f"/tickets/{tickets[1]}/force-close", force)
        found = await counters(client)

    assert closed.status_code == 200, closed.text
    assert found["dispatch_assignments_with_snapshot_total"] == 1
    assert found["dispatch_assignments_without_snapshot_total"] == 1
    assert found["dispatch_override_close_total"] == 1
    assert found["dispatch_override_close_by_code"] == [{"code": "NO-PROOF", "count": 1}]


async def test_prometheus_reads_the_same_counters(gateway: TestGateway) -> None:
    async with gateway.sibling() as client:
        await client.get("/nowhere")
        text = await client.get("/metrics/prometheus", headers={"Accept": "application/json"})
        ranked = await client.get("/metrics", headers={"Accept": "text/plain;q=0.9, */*;q=0.1"})
        plain = await client.get("/metrics", headers={"Accept": "*/*"})

    families = {family.name: family for family in text_string_to_metric_families(text.text)}
    unmatched = [
        sample.value
        for sample in families["dispatch_requests"].samples
        if sample.labels == {"method": "GET", "endpoint": "UNMATCHED", "status": "404"}
    ]
    assert unmatched == [1.0]
    assert "dispatch_request_duration_seconds" in families
    assert "dispatch_override_close_by_code" in families
    assert ranked.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "dispatch_errors_total{" in ranked.text
    assert plain.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_production_shows_them_to_operators_only(gateway: TestGateway) -> None:
    async with gateway.sibling(DISPATCH_ENV="production") as client:
        for path in ("/metrics", "/metrics/prometheus", "/ops/alerts"):
            nobody = await client.get(path, headers=gateway.as_role("ops"))
            wrong = await client.get(path, headers=gateway.bearer("agent"))
            right = await client.get(path, headers=gateway.bearer("ops"))
            assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "AUTH_REQUIRED")
            assert wrong.json()["error"]["allowed_roles"] == ["ops", "dispatcher", "admin"]
            assert right.status_code == 200
        assert (await client.get("/ops/runbooks/db_backup.md")).status_code == 200
    async with gateway.sibling(DISPATCH_ENV="production", DISPATCH_OPS_PUBLIC="true") as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_alerts_fire_at_their_thresholds(gateway: TestGateway, tmp_path: Path) -> None:
    sink = tmp_path / "deep" / "alerts.ndjson"
    gateway.scheduled_ticket()
    settings = {
        "DISPATCH_ALERT_STUCK_SCHEDULING_MINUTES": "0",
        "DISPATCH_ALERT_STUCK_SCHEDULING_COUNT_THRESHOLD": "1",
        "DISPATCH_ALERT_AUTH_POLICY_REJECTION_THRESHOLD": "2",
        "DISPATCH_ALERT_WINDOW_MINUTES": "5",
        "DISPATCH_ALERTS_SINK_PATH": str(sink),
    }
    async with gateway.sibling(**settings) as client:
        ticket = gateway.new_ticket()
        await client.get(f"/tickets/{ticket}", headers={"Authorization": "Bearer x"})
        first = (await client.get("/ops/alerts")).json()
        await client.get(f"/tickets/{ticket}", headers=gateway.as_role("ops"))
        second = (await client.get("/ops/alerts")).json()

    assert [alert["code"] for alert in first["alerts"]] == ["STUCK_SCHEDULING"]
    stuck, refused = second["alerts"]
    assert (stuck["stale_minutes"], stuck["threshold"]) == (0, 1)
    assert refused == {
        "code": "AUTH_POLICY_FAILURE_SPIKE",
        "severity": "warning",
        "count": 2,
        "threshold": 2,
        "runbook": RUNBOOK + "auth_policy_failure.md",
        "runbook_url": "/ops/runbooks/auth_policy_failure.md",
        "runbook_file": "deploy/runbooks/auth_policy_failure.md",
        "tickets": [ticket],
    }
    assert stuck["tickets"][:1] != []
    assert second["signals"]["auth_policy_rejection_count"] == 2
    assert second["window_minutes"] == 5
    assert [json.loads(line) for line in sink.read_text().splitlines()] == [first, second]


async def test_alerts_name_their_tickets_the_longest_waiting_first_and_runbooks_that_exist(
    gateway: TestGateway,
) -> None:
    settings = {
        "DISPATCH_ALERT_STUCK_SCHEDULING_MINUTES": "0",
        "DISPATCH_ALERT_STUCK_SCHEDULING_COUNT_THRESHOLD": "1",
        "DISPATCH_ALERT_COMPLETION_REJECTION_THRESHOLD": "1",
        "DISPATCH_ALERT_IDEMPOTENCY_CONFLICT_THRESHOLD": "1",
        "DISPATCH_ALERT_AUTH_POLICY_REJECTION_THRESHOLD": "1",
    }
    ticket, key = gateway.ready_ticket(), str(uuid4())
    async with gateway.owner() as conn:
        aged = "UPDATE ticket_queue SET moved_at = now() - interval '9 days' WHERE ticket_id = $1"
        await conn.execute(aged, UUID(ticket))
    working = gateway.ticket_in_progress()
    async with gateway.sibling(**settings) as client:
        headers = {**gateway.as_role("technician"), "Idempotency-Key": key}
        body: dict[str, object] = {"checklist_status": {}}
        await client.post(f"/tickets/{working}/tech/complete", json=body, headers=headers)
        headers = {**gateway.as_role("dispatcher"), "Idempotency-Key": key}
        for name in ("one", "another"):
            note = {"kind": "NOTE", "uri": f"s3://evidence/{name}"}
            await client.post(f"/tickets/{ticket}/evidence", json=note, headers=headers)
        await client.get(f"/tickets/{ticket}", headers=gateway.as_role("ops"))
        found = (await client.get("/ops/alerts")).json()["alerts"]
    named = {alert["code"]: alert["tickets"] for alert in found}
    assert named["STUCK_SCHEDULING"][0] == ticket
    assert len(named["STUCK_SCHEDULING"]) <= 10
    assert named["COMPLETION_REJECTION_SPIKE"] == [working]
    assert named["IDEMPOTENCY_CONFLICT_SPIKE"] == [ticket]
    assert named["AUTH_POLICY_FAILURE_SPIKE"] == [ticket]
    for alert in found:
        assert (ROOT / alert["runbook_file"]).is_file()
        served = gateway.http.get(alert["runbook_url"]).text
        assert served == (ROOT / alert["runbook_file"]).read_text("utf-8")


async def test_every_runbook_that_is_named_is_served(gateway: TestGateway) -> None:
    runbooks = gateway.http.get("/ops/alerts").json()["runbooks"]
    assert set(runbooks) >= {"DB_BACKUP", "WAL_ARCHIVE_RECOVERY", "HEALTH_DB_MIGRATION"}
    for path in runbooks.values():
        answer = gateway.http.get(f"/ops/runbooks/{path.removeprefix(RUNBOOK)}")
        assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# ")
    missing = gateway.http.get("/ops/runbooks/..%2fsecrets.json")
    assert missing.json()["error"]["code"] == "NOT_FOUND"


async def test_the_metrics_sink_is_replaced_and_a_broken_one_harms_nobody(
    gateway: TestGateway, tmp_path: Path
) -> None:
    sink = tmp_path / "deep" / "metrics.json"
    async with gateway.sibling(DISPATCH_METRICS_SINK_PATH=str(sink)) as client:
        await client.get("/nowhere")
    written = json.loads(sink.read_text())
    assert written["counters"]["errors_total"] == [{"code": "NOT_FOUND", "count": 1}]
    assert list(sink.parent.iterdir()) == [sink]
    (tmp_path / "file").touch()
    broken = str(tmp_path / "file" / "metrics.json")
    async with gateway.sibling(DISPATCH_METRICS_SINK_PATH=broken) as client:
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("wait", ["wait=0", "wait=5"])
async def test_a_command_is_counted_even_if_nobody_waits_for_it(
    gateway: TestGateway, wait: str
) -> None:
    async with gateway.sibling() as client:
        body = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
        answer = await send(gateway, client, "/tickets", body, Prefer=wait)
        status = f"/commands/{answer.headers['X-Command-Id']}"
        for _ in range(100):
            if (await counters(client))["transitions_total"]:
                break
            await client.get(status, headers=gateway.as_role("dispatcher"))
        assert (await counters(client))["transitions_total"] == [
            {"from_state": None, "to_state": "NEW", "count": 1}
        ]
