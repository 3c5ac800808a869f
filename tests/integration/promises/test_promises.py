"""What was answered 202 is decided, whatever becomes of the workflow that had it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from tests.blows import BLOWS, Blow, delete, terminate
from tests.integration.command.keyed_calls import TRIAGE, decided, held, row
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENT = TestGateway.as_role("dispatcher", Prefer="wait=0")
PROMISES = "SELECT count(*) FROM command_promises"
GIVE_UP = """
INSERT INTO command_attempts (command_id, tool_name, workflow_id, failed, reference, given_up_at)
VALUES ($1, 'ticket.triage', 'ticket-' || $2::text, 5, $3, now())
"""
LOGGED = """
SELECT decision, code, request_hash FROM command_log
 WHERE ticket_id = $1 ORDER BY submitted_at DESC LIMIT 1
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(gateway: TestGateway) -> Client:
    return await connect_temporal(load_settings(dict(gateway.env))[0])


async def runs_of(engine: Client, workflow_id: str) -> int:
    """Return the number of runs that the visibility store knows."""
    return (await engine.count_workflows(f"WorkflowId = '{workflow_id}'")).count


def promised(gateway: TestGateway, ticket: str, tool: str, body: object) -> str:
    """Send a command that nobody waits for, and return where its outcome will be."""
    answer = gateway.post(f"/tickets/{ticket}/{tool}", body, headers=IMPATIENT)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["status_url"])


def notes(length: int) -> dict[str, Any]:
    return {"kind": "NOTE", "uri": f"s3://notes/{uuid4()}", "metadata": {"text": "x" * length}}


@pytest.mark.parametrize("blow", BLOWS, ids=lambda it: it.__name__)
async def test_what_was_answered_202_is_decided_whatever_becomes_of_its_workflow(
    gateway: TestGateway, engine: Client, blow: Blow
) -> None:
    ticket = gateway.new_ticket()
    async with held(gateway, ticket):
        urls = [promised(gateway, ticket, "triage", TRIAGE)]
        urls += [promised(gateway, ticket, "evidence", notes(length)) for length in (1, 9000) * 4]
        await blow(engine, f"ticket-{ticket}")

    statuses = [await decided(gateway, url) for url in urls]
    assert {status["status"] for status in statuses} == {"succeeded"}
    assert gateway.get(f"/tickets/{ticket}").json()["state"] == "TRIAGED"


async def test_a_command_about_no_ticket_is_decided_though_its_workflow_was_terminated(
    gateway: TestGateway, engine: Client
) -> None:
    body = {"scope_type": "INCIDENT", "incident_type": "NOBODY_HAS_THIS", "reason": "a try"}
    async with held(gateway, "tenant default"):
        answer = gateway.post("/ops/autonomy/pause", body, headers=IMPATIENT)
        assert answer.status_code == 202, answer.text
        await terminate(engine, "tenant-default")
    status = await decided(gateway, answer.json()["status_url"])
    assert status["status"] == "succeeded"


async def test_a_new_ticket_is_created_though_its_workflow_was_deleted_at_once(
    gateway: TestGateway, engine: Client
) -> None:
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    long = {**place, "summary": "s" * 9000}
    answers = [gateway.post("/tickets", long, headers=IMPATIENT) for _ in range(5)]
    for answer in answers:
        try:
            await delete(engine, f"ticket-{answer.json().get('ticket_id') or answer.json()['id']}")
        except RPCError as error:
            assert error.status is RPCStatusCode.NOT_FOUND  # noqa: PT017  gone is as good
    for answer in answers:
        if answer.status_code == 202:
            status = await decided(gateway, answer.json()["status_url"])
            assert status["response_code"] == 201


async def test_a_promise_that_was_kept_is_forgotten(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    async with held(gateway, ticket):
        url = promised(gateway, ticket, "triage", TRIAGE)
        assert await row(gateway, PROMISES) != (0,)
    await decided(gateway, url)

    async def forgotten() -> bool:
        return tuple(await row(gateway, PROMISES)) == (0,)

    await eventually(forgotten, what="no open promise")


async def test_a_command_that_is_answered_in_time_leaves_no_promise(gateway: TestGateway) -> None:
    async with gateway.owner() as conn:
        await conn.execute("CREATE TABLE promised_in_time AS SELECT 0 AS n WHERE false")
        await conn.execute(
            "CREATE RULE count_promises AS ON INSERT TO command_promises "
            "DO ALSO INSERT INTO promised_in_time VALUES (1)"
        )
        try:
            gateway.ready_ticket()
            assert await conn.fetchval("SELECT count(*) FROM promised_in_time") == 0
        finally:
            await conn.execute("DROP RULE count_promises ON command_promises")
            await conn.execute("DROP TABLE promised_in_time")


async def test_a_refused_command_on_a_finished_ticket_starts_no_run_that_hides_its_history(
    gateway: TestGateway, engine: Client
) -> None:
    ticket = gateway.new_ticket()
    gateway.done(f"/tickets/{ticket}/cancel", {"reason": "the end"})
    handle = engine.get_workflow_handle(f"ticket-{ticket}")

    async def closed() -> bool:
        return (await handle.describe()).close_time is not None

    await eventually(closed, what="a closed workflow")
    run_id = (await handle.describe()).run_id
    refused = gateway.post(f"/tickets/{ticket}/triage", TRIAGE)
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["from_state"]) == ("INVALID_STATE_TRANSITION", "CANCELLED")
    assert (await handle.describe()).run_id == run_id
    assert tuple(await row(gateway, LOGGED, UUID(ticket)))[:2] == (
        "DENY",
        "INVALID_STATE_TRANSITION",
    )
    status = gateway.get(f"/commands/{refused.headers['X-Command-Id']}").json()
    assert (status["status"], status["response_body"]) == ("rejected", refused.json())


async def test_commands_that_race_with_the_end_of_their_ticket_start_no_other_run(
    gateway: TestGateway, engine: Client
) -> None:
    ticket = gateway.new_ticket()
    async with gateway.sibling() as client:

        async def one(path: str, body: object) -> int:
            headers = TestGateway.as_role("dispatcher", Idempotency_Key=str(uuid4()))
            answer = await client.post(f"/tickets/{ticket}/{path}", json=body, headers=headers)
            return answer.status_code

        end = asyncio.create_task(one("cancel", {"reason": "the end"}))
        statuses: set[int] = set()
        while 409 not in statuses:
            statuses |= set(await asyncio.gather(*(one("evidence", notes(1)) for _ in range(10))))
    assert await end == 200
    assert statuses <= {201, 409}

    async def is_closed() -> bool:
        handle = engine.get_workflow_handle(f"ticket-{ticket}")
        return (await handle.describe()).close_time is not None

    await eventually(is_closed, what="a closed workflow")
    assert await runs_of(engine, f"ticket-{ticket}") == 1


async def test_a_promise_that_waits_too_long_and_a_command_given_up_raise_alerts_with_a_runbook(
    gateway: TestGateway,
) -> None:
    ticket, reference = gateway.new_ticket(), uuid4()
    async with gateway.owner() as conn, held(gateway, ticket):
        url = promised(gateway, ticket, "triage", TRIAGE)
        await conn.execute("UPDATE command_promises SET promised_at = now() - interval '2 min'")
        overdue = alert(gateway, "PROMISE_OVERDUE")
        assert overdue["tickets"] == [ticket]
        metrics = gateway.http.get("/metrics/prometheus").text
        gauges = gateway.http.get("/metrics").json()["gauges"]
        command = UUID(url.rpartition("/")[2])
        await conn.execute(GIVE_UP, command, ticket, reference)
        given_up = alert(gateway, "COMMAND_GIVEN_UP")
        await conn.execute("DELETE FROM command_attempts")
    assert overdue["count"] >= 1
    assert overdue["oldest_seconds"] >= 120
    assert "dispatch_promise_oldest_seconds 12" in metrics
    assert gauges["promises_waiting"] >= 1
    (named,) = given_up["commands"]
    assert (named["command_id"], named["reference"]) == (str(command), str(reference))
    for each in (overdue, given_up):
        assert gateway.http.get(each["runbook_url"]).text.startswith("# Commands that are not")
    await decided(gateway, url)


def alert(gateway: TestGateway, code: str) -> dict[str, Any]:
    alerts = gateway.get("/ops/alerts").json()["alerts"]
    (found,) = [each for each in alerts if each["code"] == code]
    return dict(found)
