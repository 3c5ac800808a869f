"""One key, one effect: whatever comes at once, over any gateway, gets the same answer."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.command.keyed_calls import (
    AT_ONCE,
    EFFECTS,
    LOG_ROWS,
    TRIAGE,
    essence,
    headers,
    new_ticket,
    row,
)
from tests.integration.servers.gateway import TestGateway

pytest_plugins = [
    "tests.integration.servers.stack_fixture",
    "tests.integration.servers.two_gateways",
]
pytestmark = pytest.mark.asyncio(loop_scope="module")


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
