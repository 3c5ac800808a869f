"""What operators of one tenant see of metrics and alerts: theirs, and nothing of another's."""

from typing import Any
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.rows import add_ticket
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]

PRODUCTION = {
    "DISPATCH_ENV": "production",
    "DISPATCH_ALERT_STUCK_SCHEDULING_MINUTES": "0",
    "DISPATCH_ALERT_STUCK_SCHEDULING_COUNT_THRESHOLD": "1",
    "DISPATCH_EVIDENCE_RETENTION_MODE": "none",
}
BUSY, QUIET = "busy", "quiet"
TELLING = (
    *("requests_total", "errors_total", "transitions_total", "dispatch_override_close_by_code"),
)


async def counters(client: httpx.AsyncClient, who: dict[str, str]) -> dict[str, Any]:
    answer = (await client.get("/metrics", headers=who)).json()
    found: dict[str, Any] = answer["counters"]
    return found


def own_requests(found: dict[str, Any]) -> set[str]:
    return {row["endpoint"] for row in found["requests_total"]}


async def test_counters_tell_a_tenant_nothing_of_another(gateway: TestGateway) -> None:
    async with gateway.owner() as conn:
        ticket = await add_ticket(conn, BUSY)
        place = await conn.fetchrow("SELECT account_id, site_id FROM tickets WHERE id = $1", ticket)
    assert place is not None
    busy = gateway.bearer("dispatcher", tenant_id=BUSY)
    quiet = gateway.bearer("dispatcher", tenant_id=QUIET)
    body = {**{name: str(value) for name, value in place.items()}, "summary": "Busy"}
    async with gateway.sibling(**PRODUCTION, DISPATCH_OPS_TENANT="operators") as client:

        async def send() -> httpx.Response:
            key = {"Idempotency-Key": str(uuid4())}
            return await client.post("/tickets", json=body, headers={**busy, **key})

        assert (await send()).status_code == 201
        for _ in range(3):
            await client.get(f"/tickets/{uuid4()}", headers=busy)
        await client.get("/nowhere")

        async def counted() -> bool:
            return bool((await counters(client, busy))["transitions_total"])

        await eventually(counted, what="the count of the transition")
        seen = await counters(client, busy)
        foreign = await counters(client, quiet)
        text = (await client.get("/metrics/prometheus", headers=quiet)).text
        whole = await counters(client, gateway.bearer("ops", tenant_id="operators"))

    assert {"/tickets", "/tickets/{ticketId}", "UNMATCHED"} <= own_requests(seen)
    assert own_requests(foreign) <= {"UNMATCHED", "/metrics", "/health/live"}
    assert foreign["transitions_total"] == []
    assert foreign["errors_total"] == [{"code": "NOT_FOUND", "count": 1}]
    assert own_requests(whole) >= own_requests(seen) | own_requests(foreign)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.get("endpoint", "UNMATCHED") in {
                *("UNMATCHED", "/metrics", "/metrics/prometheus"),
            }, sample


async def test_alerts_tell_a_tenant_nothing_of_another(gateway: TestGateway) -> None:
    async with gateway.owner() as conn:
        stuck = await add_ticket(conn, BUSY)
        await conn.execute(
            "UPDATE tickets SET state = 'SCHEDULED', scheduled_start = now(),"
            " scheduled_end = now() + interval '1 hour' WHERE id = $1",
            stuck,
        )
    async with gateway.sibling(**PRODUCTION) as client:
        for _ in range(9):
            await client.get("/exports/invoices", headers=gateway.bearer("agent", tenant_id=BUSY))

        async def alerts(tenant: str) -> dict[str, Any]:
            who = gateway.bearer("ops", tenant_id=tenant)
            body: dict[str, Any] = (await client.get("/ops/alerts", headers=who)).json()
            return body

        busy, quiet = await alerts(BUSY), await alerts(QUIET)

    assert busy["signals"]["stuck_scheduling_count"] >= 1
    named = {alert["code"]: alert["tickets"] for alert in busy["alerts"]}
    assert str(stuck) in named["STUCK_SCHEDULING"]
    assert busy["signals"]["auth_policy_rejection_count"] == 9
    assert set(quiet["signals"].values()) == {0}
    assert quiet["alerts"] == []
    assert quiet["metrics"]["counters"]["errors_total"] == []
