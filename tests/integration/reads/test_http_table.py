"""Every (tool, role, state) cell of the toolset, over HTTP, as the registry says.

With DISPATCH_TEST_TABLE=full the roles that a tool treats alike are all called in every state.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from policy.codes import CODES
from policy.model import Role, State
from runtime.postgres.pool import Connection
from tests.integration.reads.http_cells import Cell, complete, every_cell, seed
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

AT_ONCE = 32
OTHER_TARGET = {"ticket.triage"}  # its payload names where it leads
UNTOUCHED = """
SELECT count(*) FROM tickets
 WHERE id = ANY ($1::uuid[])
   AND (version <> 0 OR EXISTS (SELECT FROM audit_events WHERE ticket_id = tickets.id))
"""
LOG_ROWS = """
SELECT correlation_id, decision, code, dimension, response_code, tool_name, actor_role
  FROM command_log WHERE correlation_id = ANY ($1)
"""
PUT_AWAY = "UPDATE tickets SET state = 'CANCELLED' WHERE id = ANY ($1::uuid[])"


def is_chosen(cell: Cell) -> bool:
    """Return whether the short run makes this call.

    Of the roles that may use a tool, one a state in turn and each in an open one; of a role that
    may not, one state.
    """
    if cell.state is None or os.environ.get("DISPATCH_TEST_TABLE") == "full":
        return True
    states, roles = list(State), cell.rule.roles
    turn = states.index(cell.state)
    if not cell.is_for_role:
        return turn == (list(Role).index(cell.role) + len(cell.tool)) % len(states)
    is_first_open = cell.state == (cell.rule.from_states or states)[0]
    return is_first_open or cell.role == roles[turn % len(roles)]


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        yield conn


@pytest.fixture
async def cells(gateway: TestGateway, owner: Connection) -> AsyncIterator[list[Cell]]:
    found = [cell for cell in every_cell() if is_chosen(cell)]
    await seed(gateway, owner, found)
    await complete(gateway, owner, found)
    yield found
    await owner.execute(PUT_AWAY, [cell.ticket for cell in found])


async def call(client: httpx.AsyncClient, gateway: TestGateway, cell: Cell) -> httpx.Response:
    key = str(uuid4())
    headers = gateway.as_role(cell.role, X_Correlation_Id=cell.name)
    if not cell.rule.mutating:
        return await client.get(cell.path, headers=headers)
    body = cell.payload(gateway)
    return await client.post(cell.path, json=body, headers={**headers, "Idempotency-Key": key})


async def answers(gateway: TestGateway, cells: list[Cell]) -> list[httpx.Response]:
    """Return the answers to all cells, called so many at once."""
    gate = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=limits) as client:

        async def one(cell: Cell) -> httpx.Response:
            async with gate:
                return await call(client, gateway, cell)

        return await asyncio.gather(*map(one, cells))


def faults_of(cell: Cell, answer: httpx.Response) -> dict[str, Any]:
    """Return how an answer differs from what the registry says."""
    body = answer.json()
    if answer.status_code != cell.status:
        return {"status": (answer.status_code, cell.status), "body": body}
    if cell.code is not None:
        error = body["error"]
        missing = {name: error.get(name) for name in cell.error if name not in error}
        wrong = {name: error[name] for name in cell.error.keys() & error.keys()}
        return missing or {
            name: value for name, value in wrong.items() if value != cell.error[name]
        }
    target = cell.rule.result_state
    if target is None or cell.tool in OTHER_TARGET:
        return {}
    state = body.get("ticket", body)["state"]
    return {} if state == target else {"state": state}


@pytest.mark.timeout(600)
async def test_every_cell_answers_as_the_registry_says(
    gateway: TestGateway, owner: Connection, cells: list[Cell]
) -> None:
    assert {cell.state for cell in cells} == {*State, None}
    found = zip(cells, await answers(gateway, cells), strict=True)
    faults = {cell.name: fault for cell, answer in found if (fault := faults_of(cell, answer))}
    assert faults == {}

    refused = [cell for cell in cells if cell.state is not None and cell.code is not None]
    assert await owner.fetchval(UNTOUCHED, list({cell.ticket for cell in refused})) == 0
    await assert_logged(owner, [cell for cell in cells if cell.rule.mutating])


async def assert_logged(owner: Connection, commands: list[Cell]) -> None:
    """Check that each command has its one row, with code and dimension."""
    rows = await owner.fetch(LOG_ROWS, [cell.name for cell in commands])
    assert len(rows) == len(commands)
    logged = {row["correlation_id"]: dict(row) for row in rows}
    for cell in commands:
        code = cell.code
        assert logged[cell.name] == {
            "correlation_id": cell.name,
            "decision": "ALLOW" if code is None else "DENY",
            "code": code,
            "dimension": None if code is None else CODES[code].dimension,
            "response_code": cell.status,
            "tool_name": cell.tool,
            "actor_role": cell.role,
        }
