"""What automation asks of the gateway: how far the ladder lets it go, and under which keys."""

from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest

from automation.client import Gateway, derived_key, http_client
from automation.dispatching import Dispatching, Ending
from automation.tally import Tally
from contracts.command import AUTOMATION_HEADER
from policy.codes import CODES, Code
from policy.rules.bundle import load_bundle
from runtime.settings import load_settings

TICKET = "94c09184-0e2f-5232-9361-45479ec0e9e2"
TECH = "00000000-0000-0000-0000-000000000083"
LADDER = {"assignment.dispatch": {"*": "auto", "SHY": "shadow", "NEVER": "off"}}


class FakeGateway:
    """A ticket in SCHEDULED; dispatches are refused with `refusal`, if there is one."""

    def __init__(self, **ticket: object) -> None:
        self.ticket = {
            "id": TICKET,
            "state": "SCHEDULED",
            "assigned_tech_id": None,
            "incident_type": "DOOR",
            "version": 3,
            **ticket,
        }
        self.paused = False
        self.refusal: Code | None = None
        self.nobody = False
        self.commands: list[tuple[str, str, Mapping[str, Any]]] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        tool = request.url.path.rpartition("/")[2]
        if request.method == "GET":
            autonomy = {"decision": {"is_paused": self.paused}}
            return httpx.Response(200, json=autonomy if tool == "state" else self.ticket)
        body = orjson.loads(request.content)
        self.commands.append((tool, request.headers["idempotency-key"], body))
        if tool == "recommend" and not self.nobody:
            recommended = {"recommendations": [{"tech_id": TECH}], "snapshot_id": "s"}
            return httpx.Response(201, json=recommended)
        code = Code.ASSIGNMENT_RECOMMENDATION_UNAVAILABLE if self.nobody else self.refusal
        if code is not None:
            return httpx.Response(CODES[code].status, json={"error": {"code": code}})
        return httpx.Response(200, json=self.ticket)

    @property
    def tools(self) -> list[str]:
        """The commands that came, by the last word of their routes."""
        return [tool for tool, _, _ in self.commands]


def dispatching(fake: FakeGateway) -> tuple[Dispatching, Tally]:
    settings, _ = load_settings({})
    bundle, tally = load_bundle({"autonomy": {"ladder": LADDER}}), Tally()
    client = http_client(settings)
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(fake), base_url=client.base_url, headers=client.headers
    )
    return Dispatching(Gateway(http, bundle, tally), bundle, "robot", tally), tally


async def test_it_recommends_then_dispatches_and_says_what_it_is() -> None:
    fake = FakeGateway()
    robot, tally = dispatching(fake)

    assert await robot.serve(TICKET, "correlation") is Ending.DISPATCHED

    recommend, dispatch = fake.commands
    assert recommend[2] == {"service_type": "DOOR", "recommendation_limit": 1}
    assert dispatch[2] == {
        "tech_id": TECH,
        "dispatch_mode": "STANDARD",
        "recommendation_snapshot_id": "s",
    }
    for request in fake.requests:
        assert request.headers[AUTOMATION_HEADER]
        assert request.headers["x-correlation-id"] == "correlation"
        assert request.headers["x-actor-id"] == "dispatch-worker-system"
        assert request.headers["x-actor-type"] == "SERVICE"
    assert (tally.recommendations, tally.dispatches, tally.api_calls) == (1, 1, 4)


@pytest.mark.parametrize(
    ("fields", "paused", "tools", "outcome"),
    [
        ({}, True, [], Ending.SKIPPED),
        ({"incident_type": "SHY"}, True, [], Ending.SKIPPED),
        ({"incident_type": "NEVER"}, False, [], Ending.SKIPPED),
        ({"incident_type": "shy"}, False, ["recommend"], Ending.NOTHING),
        ({"assigned_tech_id": TECH}, False, [], Ending.SKIPPED),
        ({"state": "CANCELLED"}, False, [], Ending.SKIPPED),
    ],
)
async def test_it_goes_no_further_than_it_may(
    fields: dict[str, object], *, paused: bool, tools: list[str], outcome: Ending
) -> None:
    fake = FakeGateway(**fields)
    fake.paused = paused
    robot, tally = dispatching(fake)
    assert await robot.serve(TICKET, "c") is outcome
    assert fake.tools == tools
    assert tally.errors == 0


async def test_a_pause_that_comes_in_between_is_no_error() -> None:
    fake = FakeGateway()
    fake.refusal = Code.AUTONOMY_DISABLED
    robot, tally = dispatching(fake)
    assert await robot.serve(TICKET, "c") is Ending.SKIPPED
    assert (tally.skipped, tally.errors) == (1, 0)


@pytest.mark.parametrize("incident_type", [None, "", "  "])
async def test_a_ticket_without_a_type_asks_for_any_service(incident_type: str | None) -> None:
    fake = FakeGateway(incident_type=incident_type)
    fake.nobody = True
    robot, tally = dispatching(fake)
    assert await robot.serve(TICKET, "c") is Ending.NOTHING
    assert fake.commands[0][2]["service_type"] == "DEFAULT"
    assert tally.errors == 0


async def test_a_repeat_has_the_same_keys_and_a_refused_proposal_is_not_made_again() -> None:
    fake = FakeGateway()
    fake.refusal = Code.DATABASE_UNAVAILABLE
    robot, tally = dispatching(fake)
    await robot.serve(TICKET, "c")
    await robot.serve(TICKET, "c")
    assert fake.commands[:2] == fake.commands[2:], "nothing was decided: the same again"

    fake.refusal = Code.TECH_UNAVAILABLE
    await robot.serve(TICKET, "c")
    await robot.serve(TICKET, "c")
    keys = [key for _, key, _ in fake.commands]
    assert keys[:2] == keys[4:6]
    assert not set(keys[6:]) & set(keys[:6]), "another proposal"
    assert tally.last_error == Code.TECH_UNAVAILABLE

    fake.ticket["version"], fake.refusal = 5, None
    await robot.serve(TICKET, "c")
    assert fake.commands[-2][1] == str(
        derived_key("robot", "assignment.recommend", TICKET, 5, 0)
    ), "a ticket that came back is a new case"
