"""Bad input of every kind: its code and status, and no trace but its row in the command log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from policy.model import State
from policy.rules.bundle import load_bundle
from runtime.postgres.pool import Connection
from tests.integration.hostile.bad_requests import NOWHERE, ROWS, Bad, call
from tests.integration.servers.gateway import TestGateway
from tests.unit.payloads import PAYLOADS

pytest_plugins = ["tests.integration.servers.stack_fixture"]

UNAUTHORIZED = 401
TABLES = """
SELECT c.relname AS name,
       CASE WHEN a.attname IS NULL THEN '$1::uuid IS NOT NULL'
            ELSE '(ticket_id = $1 OR ticket_id IS NULL)' END AS mine
  FROM pg_class c
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'ticket_id'
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'command_log'
"""
TICKET = "SELECT * FROM tickets WHERE id = $1"
SET_STATE = "UPDATE tickets SET state = $2::text::ticket_state WHERE id = $1"
LOG_ROWS = """
SELECT command_id, decision, code, response_code, response_body FROM command_log
 WHERE correlation_id = $1
"""
HOLD_TOOLS = {"schedule.hold", "schedule.release", "schedule.rollback"}
TICKET_COMMANDS = {
    name: rule for name, rule in load_bundle().commands.items() if rule.from_states is not None
}


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        yield conn


@pytest.fixture(scope="module")
def ticket(gateway: TestGateway) -> str:
    return gateway.new_ticket()


async def fingerprint(owner: Connection, ticket: UUID) -> dict[str, Any]:
    """Return how many rows each table holds that could be of this ticket, and the ticket."""
    counts = " UNION ALL ".join(
        f"SELECT '{row['name']}' AS name, count(*) FROM {row['name']} WHERE {row['mine']}"  # noqa: S608
        for row in await owner.fetch(TABLES)
    )
    found = {row["name"]: row["count"] for row in await owner.fetch(counts, ticket)}
    return {**found, "ticket": dict(await owner.fetchrow(TICKET, ticket) or {})}


@asynccontextmanager
async def untouched(owner: Connection, ticket: str) -> AsyncIterator[None]:
    """Check that what is done inside leaves no row but in the command log."""
    before = await fingerprint(owner, UUID(ticket))
    yield
    assert await fingerprint(owner, UUID(ticket)) == before


async def assert_refused(gateway: TestGateway, owner: Connection, bad: Bad, ticket: str) -> None:
    """Send the bad request, and check its answer and its row in the command log."""
    correlation = str(uuid4())
    request = bad.request(gateway, ticket)
    request["headers"] |= {"X-Correlation-Id": correlation}
    answer = gateway.http.post(**request)

    assert (answer.status_code, answer.json()["error"]["code"]) == (bad.status, bad.code), bad.name
    assert bad.extras.items() <= answer.json()["error"].items()
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (bad.status == UNAUTHORIZED)
    rows = await owner.fetch(LOG_ROWS, correlation)
    assert len(rows) == bad.logged
    for row in rows:
        verdict = (row["decision"], row["code"], row["response_code"])
        assert verdict == ("DENY", bad.code, bad.status)
        assert json.loads(row["response_body"]) == answer.json()
        assert answer.headers["X-Command-Id"] == str(row["command_id"])


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
async def test_bad_input_has_its_code_and_leaves_its_log_row_alone(
    gateway: TestGateway, owner: Connection, ticket: str, bad: Bad
) -> None:
    async with untouched(owner, ticket):
        await assert_refused(gateway, owner, bad, ticket)


@pytest.mark.parametrize("claims", [{"aud": "others"}, {}, {"aud": "dispatch", "iss": "others"}])
async def test_a_token_for_others_or_from_others_is_refused(
    gateway: TestGateway, ticket: str, claims: dict[str, str]
) -> None:
    ours = {"DISPATCH_AUTH_JWT_AUDIENCE": "dispatch", "DISPATCH_AUTH_JWT_ISSUER": "us"}
    async with gateway.sibling(**ours) as client:
        path = f"/tickets/{ticket}"
        answer = await client.get(path, headers=gateway.bearer("dispatcher", **claims))
        assert answer.json()["error"]["code"] == "INVALID_AUTH_CLAIMS"
        good = gateway.bearer("dispatcher", aud=["dispatch"], iss="us")
        assert (await client.get(path, headers=good)).is_success


async def test_an_unknown_technician_cannot_be_sent(
    gateway: TestGateway, owner: Connection
) -> None:
    path, extras = "/tickets/{ticket}/assignment/dispatch", {"tech_id": NOWHERE}
    bad = Bad("", call(path, json=extras), 409, "ASSIGNMENT_NOT_FOUND", extras=extras)
    ticket = gateway.scheduled_ticket()
    async with untouched(owner, ticket):
        await assert_refused(gateway, owner, bad, ticket)


@pytest.mark.parametrize("state", State)
async def test_every_command_outside_its_from_states_is_refused(
    gateway: TestGateway, owner: Connection, state: State
) -> None:
    """The stored row judges: the state is put there by SQL, as a repair would."""
    ticket = gateway.new_ticket()
    await owner.execute(SET_STATE, UUID(ticket), state.value)
    outside = {
        name: rule
        for name, rule in TICKET_COMMANDS.items()
        if state not in (rule.from_states or ())
    }
    assert outside
    async with untouched(owner, ticket):
        for name, rule in outside.items():
            is_hold = name in HOLD_TOOLS
            code = "SCHEDULE_HOLD_STATE_CONFLICT" if is_hold else "INVALID_STATE_TRANSITION"
            path = rule.route.replace("{ticketId}", "{ticket}")
            request = call(path, role=rule.roles[0].value, json=PAYLOADS[name])
            bad = Bad(name, request, 409, code, extras={"from_state": state.value})
            await assert_refused(gateway, owner, bad, ticket)
