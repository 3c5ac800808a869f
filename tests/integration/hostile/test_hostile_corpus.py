"""A hostile agent: whatever it sends, nothing changes and every refusal is accounted for."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.command import SignedCommand
from policy.codes import Code
from runtime.postgres.pool import Connection
from tests.integration.hostile.hostile_call import Hostile, Reply, Target, dev
from tests.integration.hostile.hostile_corpus import COMMANDS, INJECTION, corpus
from tests.integration.hostile.intruder import Intruder, claim
from tests.integration.servers.gateway import TestGateway
from tests.unit.payloads import PAYLOADS

pytest_plugins = [
    "tests.integration.servers.stack_fixture",
    "tests.integration.hostile.intruder_fixture",
]

AT_ONCE = 16
AT_LEAST = 1900
SERVER_ERROR = 500
QUESTION = {"questions": ["Which door?"]}
STATE_TABLES = (  # without those that timers of other tickets write to
    *("tickets", "idempotency_keys", "approvals", "evidence_items", "evidence_uploads"),
    *("evidence_exceptions", "closeout_artifacts", "schedule_hold_snapshots", "messages"),
    *("assignment_recommendation_snapshots", "autonomy_control_state", "autonomy_control_history"),
)
COUNTS = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in STATE_TABLES)  # noqa: S608
BY_PEOPLE = "SELECT count(*) FROM audit_events WHERE actor_type <> 'SYSTEM'"
TICKET = "SELECT * FROM tickets WHERE id = $1"
LOG_ROWS = """
SELECT correlation_id, decision, code, dimension, response_code, response_body IS NOT NULL AS told
  FROM command_log WHERE correlation_id = ANY ($1)
"""


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        yield conn


@pytest.fixture
def target(gateway: TestGateway) -> Target:
    """Return a new ticket, and a key that was spent on another one."""
    ticket, key = gateway.new_ticket(), str(uuid4())
    spent = gateway.post(f"/tickets/{gateway.new_ticket()}/request-info", QUESTION, key=key)
    assert spent.is_success
    return Target(gateway, ticket, key)


async def everything(owner: Connection, ticket: str) -> dict[str, Any]:
    """Return how much there is of everything, and the ticket."""
    counts = {row[0]: row[1] for row in await owner.fetch(COUNTS)}
    found = await owner.fetchrow(TICKET, UUID(ticket))
    return {**counts, "audit": await owner.fetchval(BY_PEOPLE), "ticket": dict(found or {})}


def faults_of(call: Hostile, reply: Reply) -> list[object]:
    """Return what is wrong with a reply."""
    if reply.status != call.status:
        return [reply.status, reply.content[:300]]
    if call.method == "HEAD":
        return [reply.content] if reply.content else []
    error = reply.error
    dimension = error.get("policy_error", {}).get("dimension")
    told = (error["code"], dimension)
    return [] if told == (call.code, call.wanted_dimension) else [told]


@pytest.mark.timeout(300)
async def test_nothing_gets_through_and_every_refusal_is_accounted_for(
    owner: Connection, target: Target
) -> None:
    calls = list(corpus(target))
    assert len(calls) >= AT_LEAST
    before = await everything(owner, target.ticket)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        loop = asyncio.get_running_loop()
        sent = [loop.run_in_executor(pool, call.send, target.gateway) for call in calls]
        replies = await asyncio.gather(*sent)
    faults = {
        call.name: fault
        for call, reply in zip(calls, replies, strict=True)
        if (fault := faults_of(call, reply))
    }
    assert faults == {}
    assert await everything(owner, target.ticket) == before
    await assert_logged(owner, calls)


async def assert_logged(owner: Connection, calls: list[Hostile]) -> None:
    """Check that each refused command has its one row, and nothing else has any."""
    rows = await owner.fetch(LOG_ROWS, [call.correlation for call in calls])
    found = {row["correlation_id"]: tuple(row)[1:] for row in rows}
    assert len(found) == len(rows)
    for call in calls:
        row = ("DENY", call.code, call.wanted_dimension, call.status, True)
        assert found.get(call.correlation) == (row if call.logged else None), call.name


ENCODED = ("/%63ancel", "/cancel?role=dispatcher&X-Actor-Role=admin")


@pytest.mark.parametrize("end", ENCODED)
async def test_another_spelling_of_a_path_meets_the_same_gate(
    owner: Connection, target: Target, end: str
) -> None:
    path, body = f"/tickets/{target.ticket}{end}", {"reason": INJECTION}
    call = Hostile(end, Code.FORBIDDEN, path, body, dev("customer"))
    assert faults_of(call, call.send(target.gateway)) == []
    await assert_logged(owner, [call])


@pytest.mark.parametrize("end", ["%2Fcancel", "%2fcancel", "/cancel%0a"])
async def test_a_path_that_only_decodes_to_a_route_is_none(
    owner: Connection, target: Target, end: str
) -> None:
    path, body = f"/tickets/{target.ticket}{end}", {"reason": INJECTION}
    call = Hostile(end, Code.NOT_FOUND, path, body, dev("dispatcher"), logged=False)
    assert faults_of(call, call.send(target.gateway)) == []
    await assert_logged(owner, [call])


@pytest.mark.parametrize(
    "name", ["X-Filler", "X-Correlation-Id", "X-Tool-Name", "Prefer", "Cookie"]
)
async def test_huge_and_odd_headers_do_no_harm(
    owner: Connection, target: Target, name: str
) -> None:
    before = await everything(owner, target.ticket)
    path = f"/tickets/{target.ticket}/cancel"
    for text in (
        "a" * 60_000,
        "a" * 300_000,
        "\x7f\x01",
        "\N{SNOWMAN}" * 9,
        "\t",
        "wait=" + "9" * 400,
    ):
        headers = (*dev("customer"), (name, text))
        reply = Hostile(name, Code.FORBIDDEN, path, {}, headers).send(target.gateway)
        assert 400 <= reply.status < SERVER_ERROR, (name, text[:9])
    assert await everything(owner, target.ticket) == before


async def test_a_replay_has_no_effect_in_whatever_order_its_members_come(
    gateway: TestGateway, owner: Connection, target: Target
) -> None:
    """The hash is over the canonical form: order, spaces and escapes make no other request."""
    path, key = f"/tickets/{target.ticket}/triage", str(uuid4())
    body = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH", "nte_cents": 12}
    first = gateway.post(path, body, key=key)
    assert first.is_success
    before = await everything(owner, target.ticket)
    for text in (
        b'{"nte_cents": 12, "incident_type": "DOOR_WONT_LATCH", "priority": "URGENT"}',
        b' {"nte_cents":12.0,"priority":"\\u0055RGENT",\n"incident_type":"DOOR_WONT_LATCH"} ',
    ):
        headers = {**gateway.as_role("dispatcher"), "Idempotency-Key": key.upper()}
        again = gateway.http.post(path, content=text, headers=headers)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.content == first.content
    assert await everything(owner, target.ticket) == before


async def test_forged_signals_of_every_name_change_nothing(
    owner: Connection, intruder: Intruder, target: Target
) -> None:
    ticket, before = UUID(target.ticket), await everything(owner, target.ticket)
    names = [name for name, rule in COMMANDS.items() if rule.requires_ticket_id]
    for name in names:
        command = claim(name, ticket, PAYLOADS[name])
        await intruder.signal(ticket, name, SignedCommand(command=command, mac="0" * 64))
    for name in ("ticket.delete", "shutdown", "update_state", ""):
        await intruder.signal(ticket, name or "x" * 900, {"state": "CLOSED"})
    refused = await intruder.refusals(ticket, len(names))
    assert {row["tool_name"] for row in refused} >= set(names)
    assert await everything(owner, target.ticket) == before


async def test_injected_texts_are_data(gateway: TestGateway, owner: Connection) -> None:
    before = await owner.fetchval("SELECT count(*) FROM tickets")
    ticket = gateway.new_ticket(summary=INJECTION, description=f"</tool>{INJECTION}")
    found = gateway.get(f"/tickets/{ticket}").json()
    assert (found["summary"], found["state"], found["version"]) == (INJECTION, "NEW", 0)
    assert await owner.fetchval("SELECT count(*) FROM tickets") == before + 1
