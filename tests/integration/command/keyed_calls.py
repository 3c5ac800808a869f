"""Calls under a key of the test's own, and what they left behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.integration.servers.gateway import PAYLOAD_OF_NEW, TestGateway
from tests.polling import eventually

AT_ONCE = 50
LOG_ROWS = "SELECT count(*) FROM command_log WHERE request_id = $1"
EFFECTS = """
SELECT (SELECT count(*) FROM audit_events WHERE request_id = $1),
       (SELECT count(*) FROM idempotency_keys WHERE request_id = $1),
       (SELECT count(*) FROM command_log WHERE request_id = $1 AND decision = 'ALLOW')
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
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


@asynccontextmanager
async def held(gateway: TestGateway, ticket: str) -> AsyncIterator[None]:
    """Keep every command of a ticket undecided, by holding what its transaction locks first."""
    async with gateway.owner() as conn, conn.transaction():
        await conn.execute(LOCK, ticket)
        yield


async def decided(gateway: TestGateway, url: str) -> Any:  # noqa: ANN401  JSON
    """Return the status of a command when it is decided."""

    async def status() -> Any:  # noqa: ANN401  JSON
        body = gateway.get(url).json()
        return body if body["status"] != "accepted" else None

    return await eventually(status, what="a decision")
