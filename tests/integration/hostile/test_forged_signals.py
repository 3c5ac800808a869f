"""Access to Temporal alone lets nobody act: what did not come through the gateway is refused."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from contracts.command import SignedCommand, command_id
from contracts.signing import sign
from policy.model import Role
from tests.integration.hostile.intruder import DISPATCHER, TENANT, Intruder, claim
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = [
    "tests.integration.servers.stack_fixture",
    "tests.integration.hostile.intruder_fixture",
]

CANCEL = {"reason": "nobody asked for it"}
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


@pytest.fixture
def ticket(gateway: TestGateway) -> UUID:
    return UUID(gateway.new_ticket())


def assert_untouched(gateway: TestGateway, ticket: UUID) -> None:
    """Check that the ticket is as it was created, and obeys its dispatcher."""
    found = gateway.get(f"/tickets/{ticket}").json()
    assert (found["state"], found["version"]) == ("NEW", 0)
    assert len(gateway.get(f"/tickets/{ticket}/timeline").json()["events"]) == 1
    assert gateway.post(f"/tickets/{ticket}/cancel", CANCEL).status_code == 200


async def test_an_unsigned_command_is_logged_as_denied_and_moves_nothing(
    gateway: TestGateway, intruder: Intruder, ticket: UUID
) -> None:
    command = claim("ticket.cancel", ticket, CANCEL)
    for mac in ("", "0" * 64, "\N{SNOWMAN}"):
        await intruder.signal(ticket, "ticket.cancel", SignedCommand(command=command, mac=mac))

    rows = await intruder.refusals(ticket, 3)
    assert {(row["decision"], row["actor_id"]) for row in rows} == {("DENY", "dispatcher-1")}
    assert command.command_id not in {row["command_id"] for row in rows}
    assert await intruder.runs(ticket)
    assert_untouched(gateway, ticket)


async def test_a_signed_command_under_another_tools_name_is_refused(
    gateway: TestGateway, intruder: Intruder, ticket: UUID
) -> None:
    triage = {"priority": "URGENT", "incident_type": "X"}
    signed = sign(intruder.key, claim("ticket.triage", ticket, triage))
    await intruder.signal(ticket, "ticket.cancel", signed)
    await intruder.refusals(ticket)
    assert_untouched(gateway, ticket)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": {"reason": "another one"}},
        {"payload_stored": True},
        {"actor": DISPATCHER.model_copy(update={"actor_id": "dispatcher-2"})},
        {"actor": DISPATCHER.model_copy(update={"actor_role": Role.FINANCE})},
        {"request_id": str(UUID(int=1))},
        {"command_id": UUID(int=1)},
        {"correlation_id": "another"},
    ],
    ids=str,
)
async def test_a_stolen_mac_does_not_sign_anything_else(
    gateway: TestGateway, intruder: Intruder, ticket: UUID, change: dict[str, Any]
) -> None:
    signed = sign(intruder.key, claim("ticket.cancel", ticket, CANCEL))
    changed = signed.command.model_copy(update=change)
    await intruder.signal(ticket, "ticket.cancel", signed.model_copy(update={"command": changed}))
    await intruder.refusals(ticket)
    assert_untouched(gateway, ticket)


async def test_a_command_that_was_signed_for_another_ticket_moves_neither(
    gateway: TestGateway, intruder: Intruder, ticket: UUID
) -> None:
    other = UUID(gateway.new_ticket())
    signed = sign(intruder.key, claim("ticket.cancel", other, CANCEL))
    await intruder.signal(ticket, "ticket.cancel", signed)
    await intruder.refusals(ticket)
    assert await intruder.runs(ticket)
    assert_untouched(gateway, ticket)
    assert_untouched(gateway, other)


async def test_a_claim_of_another_tenant_is_logged_with_the_ticket(
    gateway: TestGateway, intruder: Intruder, ticket: UUID
) -> None:
    elsewhere = DISPATCHER.model_copy(update={"tenant_id": "elsewhere"})
    signed = sign(intruder.key, claim("ticket.cancel", ticket, CANCEL, actor=elsewhere))
    await intruder.signal(ticket, "ticket.cancel", signed)
    (row,) = await intruder.refusals(ticket)
    assert row["tenant_id"] == TENANT
    assert await intruder.runs(ticket)
    assert_untouched(gateway, ticket)


@pytest.mark.parametrize("comes", ["before", "after"])
async def test_a_claim_on_somebody_elses_open_command_does_not_decide_it(
    gateway: TestGateway, intruder: Intruder, ticket: UUID, comes: str
) -> None:
    """Ids are no secret: anyone can derive them from what the caller sent."""
    key, path = uuid4(), f"/tickets/{ticket}/cancel"
    guess = claim("ticket.cancel", ticket, CANCEL, request_id=str(key))
    guess = guess.model_copy(
        update={
            "command_id": command_id(DISPATCHER, guess.endpoint, key, guess.request_hash, 0),
            "actor": DISPATCHER.model_copy(update={"actor_role": Role.AUDIT}),
        }
    )
    forged = SignedCommand(command=guess, mac="0" * 64)
    async with intruder.owner.transaction():
        await intruder.owner.execute(LOCK, str(ticket))
        if comes == "before":
            await intruder.signal(ticket, "ticket.cancel", forged)
        impatient = TestGateway.as_role("dispatcher", Prefer="wait=0")
        accepted = gateway.post(path, CANCEL, key=str(key), headers=impatient)
        assert accepted.status_code == 202
        assert accepted.json()["command_id"] == str(guess.command_id)
        if comes == "after":
            await intruder.signal(ticket, "ticket.cancel", forged)

    (refused,) = await intruder.refusals(ticket)
    assert refused["command_id"] != guess.command_id
    answer = gateway.post(path, CANCEL, key=str(key))
    assert (answer.status_code, answer.json()["state"]) == (200, "CANCELLED")
    assert answer.headers["X-Command-Id"] == str(guess.command_id)


async def test_an_unsigned_creation_makes_no_ticket(
    gateway: TestGateway, intruder: Intruder
) -> None:
    ticket = uuid4()
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
    command = claim("ticket.triage", ticket, place)
    command = command.model_copy(update={"tool": "ticket.create", "endpoint": "/tickets"})
    await intruder.signal(ticket, "ticket.create", SignedCommand(command=command))

    async def is_logged() -> bool:
        query = "SELECT count(*) FROM command_log WHERE correlation_id = $1"
        return bool(await intruder.owner.fetchval(query, command.correlation_id))

    await eventually(is_logged, what="the refusal")
    assert gateway.get(f"/tickets/{ticket}").status_code == 404

    async def is_over() -> bool:
        return not await intruder.runs(ticket)

    await eventually(is_over, what="the end of the workflow")


@pytest.mark.parametrize("arguments", [(), (b"\x00",), ({"command": "cancel"},)], ids=str)
async def test_an_unreadable_signal_is_logged_and_blocks_nothing(
    gateway: TestGateway, intruder: Intruder, ticket: UUID, arguments: tuple[object, ...]
) -> None:
    await intruder.signal(ticket, "ticket.cancel", *arguments)
    (row,) = await intruder.refusals(ticket)
    assert (row["tool_name"], row["actor_id"]) == ("ticket.cancel", "unknown")
    assert_untouched(gateway, ticket)


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800", r"\ud83d\udeaa", "x" * 5000])
async def test_a_claim_may_hold_any_text(
    gateway: TestGateway, intruder: Intruder, ticket: UUID, text: str
) -> None:
    odd = dict.fromkeys(("request_id", "correlation_id", "trace_id", "endpoint"), "ODD")
    actor = DISPATCHER.model_copy(update={"actor_id": "ODD"})
    command = claim("ticket.cancel", ticket, {"ODD": "ODD"}, actor=actor, **odd)
    json = SignedCommand(command=command, mac="ODD").model_dump_json().replace("ODD", text)
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.encode())
    await intruder.signal(ticket, "ticket.cancel", RawValue(payload))
    await intruder.refusals(ticket)
    assert_untouched(gateway, ticket)


async def test_a_copy_of_a_signed_command_has_no_second_effect(
    gateway: TestGateway, intruder: Intruder, ticket: UUID
) -> None:
    payload = {"kind": "PHOTO", "uri": "s3://evidence/photo.jpg"}
    signed = sign(intruder.key, claim("closeout.add_evidence", ticket, payload))
    for _ in range(3):
        await intruder.signal(ticket, "closeout.add_evidence", signed)
    gateway.done(f"/tickets/{ticket}/cancel", CANCEL)
    assert len(gateway.get(f"/tickets/{ticket}/evidence").json()["evidence"]) == 1
