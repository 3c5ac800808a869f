"""Random calls over the OpenAPI document: no 5xx, and every answer valid against its schema.

`make fuzz` makes 20,000 of them, `make fuzz CALLS=n` so many.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count

import httpx
import pytest

from policy.model import Role, State
from runtime.postgres.pool import Connection
from tests.integration.hostile.fuzzing import Fuzzer, faults_of, operations
from tests.integration.reads.http_cells import Cell, seed
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

CALLS = int(os.environ.get("FUZZ_CALLS") or 300)
ROUND = 2000
SECONDS_PER_CALL = 0.5
PUT_AWAY = "UPDATE tickets SET state = 'CANCELLED' WHERE state <> 'CANCELLED' AND created_at >= $1"
RELEASE = "DELETE FROM autonomy_control_state"


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    """Connect as the owner; take tickets and pauses away afterwards, which bother other tests."""
    async with gateway.owner() as conn:
        began = await conn.fetchval("SELECT now()")
        yield conn
        await conn.execute(PUT_AWAY, began)
        await conn.execute(RELEASE)


@pytest.mark.timeout(60 + CALLS * SECONDS_PER_CALL)
async def test_every_answer_is_valid_against_its_schema(
    gateway: TestGateway, owner: Connection
) -> None:
    fuzzer = Fuzzer(gateway)
    for number in count():
        cells = [Cell("ticket.get", Role.DISPATCHER, state) for state in State]
        await seed(gateway, owner, cells)
        fuzzer.tickets = [cell.ticket for cell in cells]
        await asyncio.to_thread(fuzzer.run, min(CALLS - fuzzer.calls, ROUND), number)
        if fuzzer.calls >= CALLS:
            break
    assert not fuzzer.faults, "\n\n".join(f"{what}\n{how}" for what, how in fuzzer.faults.items())
    assert fuzzer.statuses[200] + fuzzer.statuses[201] > CALLS // 20, fuzzer.statuses


def test_an_answer_against_its_schema_would_be_noticed() -> None:
    (get,) = (each for each in operations() if each.label == "GET /tickets/{ticketId}")
    request = httpx.Request("GET", "http://gateway/tickets/1")
    bad = (
        httpx.Response(200, json={"id": 1}, request=request),
        httpx.Response(299, json={}, request=request),
        httpx.Response(500, json={"error": {}}, request=request),
        httpx.Response(404, text="no", request=request),
    )
    for answer in bad:
        answer.elapsed = timedelta()
        assert faults_of(get.Case(path_parameters={"ticketId": "1"}), answer), answer
