"""A contract of its own on the whole stack: the packet, the cockpit, and edits by hand."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from runtime.postgres.pool import Connection
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]

SITE = """
INSERT INTO sites (account_id, name, address1, city, region, timezone, hours_json)
VALUES ($1, 'Shop', '1 Street', 'City', 'CA', 'UTC', $2::jsonb) RETURNING id
"""
SELDOM_OPEN = json.dumps({"weekly": {"mon": [["08:00", "08:01"]]}, "holidays": False})
OPEN_ALWAYS = """
UPDATE sites SET hours_json = '{}' WHERE id = (SELECT site_id FROM tickets WHERE id = $1)
"""
LEVELS = "SELECT DISTINCT level FROM ticket_escalations WHERE ticket_id = $1 ORDER BY level"
JUDGED = "SELECT judged_by IS NOT NULL FROM ticket_queue WHERE ticket_id = $1"


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        yield conn


async def ticket_of(gateway: TestGateway, owner: Connection, hours: str) -> str:
    """Create a ticket of an account with business hours, at a site of its own."""
    account = await owner.fetchval(
        "INSERT INTO accounts (name, sla_contract) VALUES ('A', 'business_hours') RETURNING id"
    )
    site = await owner.fetchval(SITE, account, hours)
    return gateway.new_ticket(account_id=str(account), site_id=str(site))


def packet_of(gateway: TestGateway, ticket: str) -> dict[str, Any]:
    packet: dict[str, Any] = gateway.get(f"/ux/technician/job-packet/{ticket}").json()["packet"]
    return packet


def row_of(gateway: TestGateway, ticket: str) -> dict[str, Any]:
    body = gateway.get("/ux/dispatcher/cockpit", limit=1000).json()
    row: dict[str, Any] = next(row for row in body["queue"] if row["ticket_id"] == ticket)
    return row


async def test_the_packet_and_the_cockpit_show_the_ledger(
    gateway: TestGateway, owner: Connection
) -> None:
    ticket = await ticket_of(gateway, owner, "{}")
    gateway.done(f"/tickets/{ticket}/request-info", {"questions": ["Which door?"]})
    selected = gateway.get("/ux/dispatcher/cockpit", ticket_id=ticket).json()["selected_ticket"]
    for sla in (packet_of(gateway, ticket)["sla"], selected["sla"]):
        assert (sla["contract"], sla["response"]["status"]) == ("business_hours", "met")
        assert [line["kind"] for line in sla["ledger"]] == ["working", "paused"]
        assert sla["ledger"][1]["reason"] == "needs info"
        assert sla["standing_since"] is not None
    row = row_of(gateway, ticket)
    assert (row["sla_target_minutes"], row["sla_timer_remaining"]) == (1440, "23:59")
    assert await owner.fetchval(JUDGED, UUID(ticket))


def test_a_ticket_under_the_standard_contract_shows_its_ledger_too(gateway: TestGateway) -> None:
    sla = packet_of(gateway, gateway.ready_ticket())["sla"]
    assert (sla["contract"], sla["calendar"], sla["problems"]) == ("standard", "always", [])
    assert (sla["response"], sla["resolution"]["target_minutes"]) == (None, 240)
    assert [line["kind"] for line in sla["ledger"]] == ["working"]


async def test_hours_edited_by_hand_count_at_once_and_ring_the_timer(
    gateway: TestGateway, owner: Connection
) -> None:
    ticket = await ticket_of(gateway, owner, SELDOM_OPEN)
    age = "UPDATE tickets SET created_at = created_at - interval '20 days' WHERE id = $1"
    await owner.execute(age, UUID(ticket))
    assert row_of(gateway, ticket)["sla_status"] == "healthy"

    await owner.execute(OPEN_ALWAYS, UUID(ticket))
    assert row_of(gateway, ticket)["sla_status"] == "breach"
    assert gateway.get(f"/tickets/{ticket}").json()["escalation_level"] == 3

    async def raised() -> bool:
        rows = await owner.fetch(LEVELS, UUID(ticket))
        return [row["level"] for row in rows] == [1, 2, 3]

    await eventually(raised, what="the escalations of a deadline that an edit moved into the past")
    await eventually(lambda: owner.fetchval(JUDGED, UUID(ticket)), what="a verdict in the queue")


async def test_unreadable_hours_are_told_in_the_packet(
    gateway: TestGateway, owner: Connection
) -> None:
    ticket = await ticket_of(gateway, owner, '{"weekly": "always"}')
    problems = packet_of(gateway, ticket)["sla"]["problems"]
    assert ["unreadable hours" in each for each in problems] == [True]
