"""The longest legal text in every field, of any character, passes the engine's limits."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from cli.scenario.lifecycle import LIFECYCLE
from policy.command.registry import command_tool
from policy.rules.bundle import load_bundle
from policy.values import NAME_LIMIT
from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from tests.integration.servers.gateway import TestGateway
from tests.lifecycle import names_of
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ALPHABETS = {"ascii": "x", "four bytes": "\N{GRINNING FACE}", "escaped": "\x01"}
BY_ALPHABET = pytest.mark.parametrize("character", ALPHABETS.values(), ids=ALPHABETS)
MEANT = {"closeout_override_code", "evidence_key", "kind", "incident_type"}
"""What the policy knows words for: another text would end the lifecycle."""
TOOLS = load_bundle().tools
DETOURS = (
    ("ticket.request_info", {"questions": ["{long}"]}),
    ("ticket.triage", {"priority": "URGENT", "incident_type": "{name}"}),
    ("ticket.request_info", {"questions": ["{long}"], "reason": "{long}"}),
    ("ticket.triage", {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}),
    ("closeout.add_evidence", {"kind": "{name}", "uri": "s3://e/{uri}", "evidence_key": "{name}"}),
    ("ticket.cancel", {"reason": "{long}", "cancellation_code": "{name}"}),
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(gateway: TestGateway) -> Client:
    return await connect_temporal(load_settings(dict(gateway.env))[0])


def longest(tool: str, character: str) -> Iterator[tuple[str, str]]:
    """Yield the longest text of every free text field of a tool."""
    schema = command_tool(tool).payload.model_json_schema()
    for name, field in schema["properties"].items():
        options = field.get("anyOf", [field])
        limit = max((each.get("maxLength", 0) for each in options), default=0)
        if limit and name not in MEANT and not any("format" in each for each in options):
            yield name, character * limit


def filled(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401  JSON
    """Return a payload of the scenario with what its placeholders stand for."""
    match value:
        case str():
            return value.format_map(known)
        case dict():
            return {name: filled(each, known) for name, each in value.items()}
        case list():
            return [filled(each, known) for each in value]
    return value


def send(gateway: TestGateway, tool: str, body: object, ticket: str) -> httpx.Response:
    rule = TOOLS[tool]
    path = rule.route.replace("{ticketId}", ticket)
    role = "dispatcher" if "dispatcher" in rule.roles else str(rule.roles[0])
    return gateway.post(path, body, headers=TestGateway.as_role(role, Prefer="wait=60"))


async def statuses(engine: Client, ticket: str) -> list[WorkflowExecutionStatus | None]:
    """Return how the runs of a ticket's workflow ended."""
    found = engine.list_workflows(f"WorkflowId = 'ticket-{ticket}'")
    return [run.status async for run in found]


async def lived_to_its_end(engine: Client, ticket: str) -> None:
    async def completed() -> bool:
        return await statuses(engine, ticket) == [WorkflowExecutionStatus.COMPLETED]

    await eventually(completed, within=30, what="one run that was completed")


@BY_ALPHABET
async def test_a_lifecycle_of_longest_texts_is_one_run_to_its_end(
    gateway: TestGateway, engine: Client, character: str
) -> None:
    known = names_of(gateway)
    for step in LIFECYCLE:
        body = {**filled(dict(step.payload), known), **dict(longest(step.tool, character))}
        if step.tool == "closeout.add_evidence":
            body["uri"] = filled(step.payload["uri"], known)
        answer = send(gateway, step.tool, body, known.get("ticket_id", ""))
        assert answer.status_code == (step.status or TOOLS[step.tool].success_status), answer.text
        for name, path in step.keeps.items():
            found = answer.json()
            for member in path.split("."):
                found = found[member]
            known[name] = found
    await lived_to_its_end(engine, known["ticket_id"])


@BY_ALPHABET
async def test_longest_names_and_reasons_off_the_straight_path_end_no_run(
    gateway: TestGateway, engine: Client, character: str
) -> None:
    ticket = gateway.new_ticket(summary=character * 10_000)
    words = {"long": character * 10_000, "name": character * NAME_LIMIT}
    for tool, payload in DETOURS:
        body = filled(payload, {**words, "uri": str(uuid4())})
        answer = send(gateway, tool, body, ticket)
        assert answer.is_success, (tool, answer.text)
    await lived_to_its_end(engine, ticket)


async def test_twenty_commands_after_the_longest_incident_type_are_all_decided(
    gateway: TestGateway, engine: Client
) -> None:
    ticket = gateway.new_ticket()
    triage = {"priority": "URGENT", "incident_type": ALPHABETS["four bytes"] * NAME_LIMIT}
    async with gateway.sibling() as client:

        async def one(path: str, body: object) -> httpx.Response:
            headers = TestGateway.as_role("dispatcher", Idempotency_Key=str(uuid4()))
            return await client.post(f"/tickets/{ticket}/{path}", json=body, headers=headers)

        first = await one("triage", triage)
        notes = [{"kind": "NOTE", "uri": f"s3://notes/{uuid4()}"} for _ in range(20)]
        answers = await asyncio.gather(*(one("evidence", note) for note in notes))
    assert first.status_code == 200
    assert {answer.status_code for answer in answers} == {201}
    assert await statuses(engine, ticket) == [WorkflowExecutionStatus.RUNNING]
