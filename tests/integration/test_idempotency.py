"""One key, one effect: whatever comes at once, over any gateway, gets the same answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from tests.integration.gateway import PAYLOAD_OF_NEW, TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 50
LOG_ROWS = "SELECT count(*) FROM command_log WHERE request_id = $1"
EFFECTS = """
SELECT (SELECT count(*) FROM audit_events WHERE request_id = $1),
       (SELECT count(*) FROM idempotency_keys WHERE request_id = $1),
       (SELECT count(*) FROM command_log WHERE request_id = $1 AND decision = 'ALLOW')
"""


LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(gateway: TestGateway) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two gateways on the same servers."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as first,
        gateway.sibling() as second,
    ):
        yield [first, second]


def headers(key: str, role: str = "dispatcher", **more: str) -> dict[str, str]:
    return {**TestGateway.as_role(role, **more), "Idempotency-Key": key}


def new_ticket(gateway: TestGateway) -> dict[str, Any]:
    return {"account_id": gateway.account_id, "site_id": gateway.site_id, **PAYLOAD_OF_NEW}


async def row(gateway: TestGateway, query: str, *values: object) -> tuple[Any, ...]:
    async with gateway.owner() as conn:
        found = await conn.fetchrow(query, *values)
    assert found is not None
    return tuple(found)


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


def essence(answer: httpx.Response) -> tuple[int, bytes, str]:
    """Return what must be equal among repeats."""
    return answer.status_code, answer.content, answer.headers["X-Command-Id"]


@pytest.mark.parametrize("what", ["a new ticket", "a command on a ticket"])
async def test_fifty_equal_calls_at_once_have_one_effect_and_equal_answers(
    gateway: TestGateway, gateways: list[httpx.AsyncClient], what: str
) -> None:
    path, body = "/tickets", new_ticket(gateway)
    if what != "a new ticket":
        path = f"/tickets/{gateway.new_ticket()}/triage"
        body = dict(TRIAGE)
    key = str(uuid4())
    answers = await asyncio.gather(
        *(gateways[each % 2].post(path, json=body, headers=headers(key)) for each in range(AT_ONCE))
    )

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({essence(answer) for answer in answers}) == 1
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)
    assert await row(gateway, LOG_ROWS, UUID(key)) == (1,)

    for client in gateways:
        replay = await client.post(path, json=body, headers=headers(key))
        assert replay.headers["Idempotency-Replayed"] == "true"
        assert essence(replay) == essence(answers[0])
    assert await row(gateway, LOG_ROWS, UUID(key)) == (1,)


async def test_a_first_answer_is_no_replay(gateway: TestGateway) -> None:
    answer = gateway.post("/tickets", new_ticket(gateway))
    assert "Idempotency-Replayed" not in answer.headers


async def test_another_body_under_a_used_key_is_refused_and_changes_nothing(
    gateway: TestGateway,
) -> None:
    key = str(uuid4())
    first = gateway.post("/tickets", new_ticket(gateway), key=key)
    other = gateway.post("/tickets", {**new_ticket(gateway), "summary": "Other"}, key=key)

    assert other.status_code == 409
    assert other.json()["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
    again = gateway.post("/tickets", new_ticket(gateway), key=key)
    assert essence(again) == essence(first)
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)


async def test_a_used_key_on_another_ticket_is_refused(gateway: TestGateway) -> None:
    key, body = str(uuid4()), {"reason": "not needed any more"}
    first, second = gateway.new_ticket(), gateway.new_ticket()
    assert gateway.post(f"/tickets/{first}/cancel", body, key=key).status_code == 200

    misused = gateway.post(f"/tickets/{second}/cancel", body, key=key)
    assert misused.json()["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
    assert gateway.get(f"/tickets/{second}").json()["state"] == "NEW"


async def test_the_key_space_is_the_actors_and_the_endpoints(gateway: TestGateway) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path = f"/tickets/{ticket}"

    assert gateway.post(f"{path}/triage", TRIAGE, key=key).status_code == 200
    other_endpoint = gateway.post(f"{path}/cancel", {"reason": "no"}, key=key)
    assert other_endpoint.status_code == 200
    other_actor = gateway.post("/tickets", new_ticket(gateway), role="agent", key=key)
    assert other_actor.status_code == 201


async def test_a_rejected_key_runs_again_with_any_body(gateway: TestGateway) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    window = gateway.window()
    path = f"/tickets/{ticket}/schedule/propose"
    too_early = [gateway.post(path, {"options": [window]}, key=key) for _ in range(2)]
    malformed = gateway.post(path, {"options": []}, key=key)
    assert [answer.status_code for answer in too_early] == [409, 409]
    assert malformed.status_code == 400

    triage = {"priority": "URGENT", "incident_type": "X", "ready_to_schedule": True}
    gateway.done(f"/tickets/{ticket}/triage", triage)
    done = gateway.post(path, {"options": [window]}, key=key)
    assert (done.status_code, done.json()["state"]) == (200, "SCHEDULE_PROPOSED")
    ids = {answer.headers["X-Command-Id"] for answer in (*too_early, malformed, done)}
    assert len(ids) == 4
    assert await row(gateway, LOG_ROWS, UUID(key)) == (4,)


async def test_equal_rejections_at_once_all_say_so(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, body = f"/tickets/{ticket}/qa/verify", {"timestamp": "2026-12-01T10:00:00Z"}
    answers = await asyncio.gather(
        *(
            gateways[each % 2].post(
                path, json={**body, "result": "PASS"}, headers=headers(key, "qa")
            )
            for each in range(AT_ONCE)
        )
    )
    codes = {answer.json()["error"]["code"] for answer in answers}
    assert codes == {"INVALID_STATE_TRANSITION"}
    assert await row(gateway, EFFECTS, UUID(key)) == (0, 0, 0)


async def test_different_bodies_at_once_one_wins_the_rest_are_misuse(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key = str(uuid4())
    bodies = [{**new_ticket(gateway), "summary": f"Door {each}"} for each in range(10)]
    answers = await asyncio.gather(
        *(
            gateways[each % 2].post("/tickets", json=body, headers=headers(key))
            for each, body in enumerate(bodies)
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, *[409] * 9]
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)


async def test_a_command_that_is_not_awaited_is_accepted_and_can_be_followed(
    gateway: TestGateway,
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, impatient = f"/tickets/{ticket}/triage", headers(key, Prefer="wait=0")
    async with held(gateway, ticket):
        answer = gateway.post(path, TRIAGE, key=key, headers=impatient)
        assert answer.status_code == 202
        accepted = answer.json()
        url = f"/commands/{accepted['command_id']}"
        assert accepted == {
            "command_id": answer.headers["X-Command-Id"],
            "ticket_id": ticket,
            "status": "accepted",
            "status_url": url,
        }
        assert answer.headers["Location"] == url
        assert answer.headers["Preference-Applied"] == "wait=0"
        assert answer.headers["Retry-After"] == "1"
        status = gateway.get(url).json()
        assert (status["status"], status["response_code"]) == ("accepted", None)
        assert (status["response_body"], status["decided_at"]) == (None, None)

    status = await decided(gateway, url)
    assert (status["status"], status["response_code"]) == ("succeeded", 200)
    replay = gateway.post(path, TRIAGE, key=key)
    assert replay.headers["Idempotency-Replayed"] == "true"
    assert replay.json() == status["response_body"]
    assert replay.headers["X-Command-Id"] == accepted["command_id"]
    assert await row(gateway, LOG_ROWS, UUID(key)) == (1,)


async def test_a_repeat_joins_the_open_command_and_another_body_does_not(
    gateway: TestGateway, gateways: list[httpx.AsyncClient]
) -> None:
    key, ticket = str(uuid4()), gateway.new_ticket()
    path, impatient = f"/tickets/{ticket}/triage", headers(key, Prefer="wait=0")
    async with held(gateway, ticket):
        first, second = [
            await client.post(path, json=TRIAGE, headers=impatient) for client in gateways
        ]
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json() == second.json()
        other = {**TRIAGE, "priority": "ROUTINE"}
        misuse = await gateways[1].post(path, json=other, headers=headers(key))
        assert misuse.json()["error"]["code"] == "IDEMPOTENCY_PAYLOAD_MISMATCH"
        joined = asyncio.gather(
            *(client.post(path, json=TRIAGE, headers=headers(key)) for client in gateways)
        )

    answers = await joined
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Command-Id"] for answer in answers} == {first.json()["command_id"]}
    assert len({essence(answer) for answer in answers}) == 1
    assert await row(gateway, EFFECTS, UUID(key)) == (1, 1, 1)


async def test_a_new_ticket_is_accepted_under_the_id_that_it_will_have(
    gateway: TestGateway,
) -> None:
    key = str(uuid4())
    answers = [
        gateway.post(
            "/tickets", new_ticket(gateway), key=key, headers=headers(key, Prefer=f"wait={wait}")
        )
        for wait in (0, 10)
    ]
    bodies = [answer.json() for answer in answers]
    reserved = bodies[0].get("ticket_id") or bodies[0]["id"]  # it may have been quick
    assert (answers[1].status_code, bodies[1]["id"]) == (201, reserved)
    assert answers[0].headers["X-Command-Id"] == answers[1].headers["X-Command-Id"]


async def test_a_command_in_time_confirms_the_wait_that_was_asked_for(
    gateway: TestGateway,
) -> None:
    patient = TestGateway.as_role("dispatcher", Prefer="wait=99")
    answer = gateway.post("/tickets", new_ticket(gateway), headers=patient)
    assert answer.headers["Preference-Applied"] == "wait=60"
