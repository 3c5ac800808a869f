"""Calls under a key of the test's own, and what they left behind."""

from typing import Any

import httpx

from tests.integration.servers.gateway import PAYLOAD_OF_NEW, TestGateway

AT_ONCE = 50
LOG_ROWS = "SELECT count(*) FROM command_log WHERE request_id = $1"
EFFECTS = """
SELECT (SELECT count(*) FROM audit_events WHERE request_id = $1),
       (SELECT count(*) FROM idempotency_keys WHERE request_id = $1),
       (SELECT count(*) FROM command_log WHERE request_id = $1 AND decision = 'ALLOW')
"""
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}


def headers(key: str, role: str = "dispatcher", **more: str) -> dict[str, str]:
    return {**TestGateway.as_role(role, **more), "Idempotency-Key": key}


def new_ticket(gateway: TestGateway) -> dict[str, Any]:
    return {"account_id": gateway.account_id, "site_id": gateway.site_id, **PAYLOAD_OF_NEW}


async def row(gateway: TestGateway, query: str, *values: object) -> tuple[Any, ...]:
    async with gateway.owner() as conn:
        found = await conn.fetchrow(query, *values)
    assert found is not None
    return tuple(found)


def essence(answer: httpx.Response) -> tuple[int, bytes, str]:
    """Return what must be equal among repeats."""
    return answer.status_code, answer.content, answer.headers["X-Command-Id"]
