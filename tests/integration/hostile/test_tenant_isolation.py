"""A row of another tenant does not exist: over every route, whatever the scope of the token."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from policy.rules.bundle import load_bundle
from tests.integration.servers.gateway import Headers, TestGateway
from tests.unit.payloads import PAYLOADS

pytest_plugins = ["tests.integration.servers.stack_fixture"]

NORTH = "north"
SEED = """
WITH a AS (INSERT INTO accounts (tenant_id, name) VALUES ($1, 'North') RETURNING id),
     s AS (INSERT INTO sites (tenant_id, account_id, name, address1, city, region)
           SELECT $1, id, 'Site', '1 Road', 'Oakland', 'CA' FROM a RETURNING id, account_id),
     t AS (INSERT INTO technicians (id, tenant_id, name, home_region)
           VALUES (gen_random_uuid(), $1, 'T', 'CA')
           RETURNING id)
SELECT account_id::text, s.id::text AS site_id, t.id::text AS tech_id FROM s, t
"""
BUNDLE = load_bundle()
ON_TICKETS = {name: rule for name, rule in BUNDLE.tools.items() if "{ticketId}" in rule.route}


@dataclass(frozen=True)
class Neighbour:
    """Another tenant with a place, a technician and a ticket of its own."""

    account_id: str
    site_id: str
    tech_id: str
    ticket: str = ""

    def create(self, gateway: TestGateway) -> httpx.Response:
        """Create a ticket as this tenant's dispatcher."""
        place = {"account_id": self.account_id, "site_id": self.site_id, "summary": "Theirs"}
        return gateway.post("/tickets", place, headers=north(gateway))


def north(gateway: TestGateway, role: str = "dispatcher") -> Headers:
    """Return the credentials of the other tenant; its actors have the same names as ours."""
    return gateway.bearer(role, tenant_id=NORTH)


@pytest.fixture
async def neighbour(gateway: TestGateway) -> Neighbour:
    async with gateway.owner() as conn:
        place = dict(await conn.fetchrow(SEED, NORTH) or {})
    ticket = Neighbour(**place).create(gateway).json()["id"]
    return Neighbour(**place, ticket=ticket)


async def test_a_ticket_of_another_tenant_is_not_found_by_any_tool(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    mine = gateway.get(f"/tickets/{neighbour.ticket}/timeline")
    assert mine.json()["error"]["code"] == "TICKET_NOT_FOUND"
    for name, rule in ON_TICKETS.items():
        path = rule.route.replace("{ticketId}", neighbour.ticket)
        headers = {**gateway.bearer(rule.roles[0]), "Idempotency-Key": str(uuid4())}
        answer = gateway.http.request(
            rule.method, path, headers=headers, **_body(name, mutating=rule.mutating)
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            404,
            "TICKET_NOT_FOUND",
        ), name
    theirs = gateway.http.get(f"/tickets/{neighbour.ticket}", headers=north(gateway))
    assert (theirs.status_code, theirs.json()["version"]) == (200, 0)


def _body(name: str, *, mutating: bool) -> dict[str, Any]:
    return {"json": PAYLOADS[name]} if mutating else {}


async def test_another_tenants_places_and_people_do_not_exist(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    place = {"account_id": neighbour.account_id, "site_id": neighbour.site_id, "summary": "x"}
    answer = gateway.post("/tickets", place)
    assert answer.json()["error"]["code"] == "ACCOUNT_NOT_FOUND"

    mixed = {**place, "account_id": gateway.account_id}
    assert gateway.post("/tickets", mixed).json()["error"]["code"] == "SITE_NOT_FOUND"

    path = f"/tickets/{gateway.scheduled_ticket()}/assignment/dispatch"
    answer = gateway.post(path, {"tech_id": neighbour.tech_id})
    assert answer.json()["error"]["code"] == "ASSIGNMENT_NOT_FOUND"


async def test_another_tenants_command_cannot_be_followed(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    theirs = neighbour.create(gateway)
    path = f"/commands/{theirs.headers['X-Command-Id']}"
    assert gateway.http.get(path, headers=north(gateway)).status_code == 200
    for role in ("dispatcher", "ops", "audit", "admin"):
        answer = gateway.get(path, role)
        assert answer.json()["error"]["code"] == "COMMAND_NOT_FOUND"


async def test_the_same_key_in_another_tenant_is_another_key(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    key = str(uuid4())
    place = {"account_id": neighbour.account_id, "site_id": neighbour.site_id, "summary": "x"}
    first = gateway.post("/tickets", place, key=key, headers=north(gateway))
    assert first.status_code == 201

    foreign_place = gateway.post("/tickets", place, key=key)
    assert foreign_place.json()["error"]["code"] != "IDEMPOTENCY_PAYLOAD_MISMATCH"
    ours = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "x"}
    same_actor = gateway.post("/tickets", ours, key=key)
    assert (same_actor.status_code, same_actor.json()["summary"]) == (201, "x")
    assert "Idempotency-Replayed" not in same_actor.headers
    assert same_actor.json()["id"] != first.json()["id"]
    assert first.json()["id"] not in foreign_place.text
    again = gateway.post("/tickets", place, key=key, headers=north(gateway))
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content
    once_more = gateway.post("/tickets", ours, key=key)
    assert once_more.headers["Idempotency-Replayed"] == "true"
    assert once_more.content == same_actor.content


async def test_pooled_connections_do_not_carry_a_tenant_along(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    tickets = {gateway.new_ticket(): gateway.bearer("dispatcher"), neighbour.ticket: north(gateway)}
    wanted = [(ticket, owner) for ticket in tickets for owner in tickets] * 15
    async with gateway.sibling(DISPATCH_DB_POOL_MAX="2") as client:
        answers = await asyncio.gather(
            *(client.get(f"/tickets/{ticket}", headers=tickets[owner]) for ticket, owner in wanted)
        )
    for (ticket, owner), answer in zip(wanted, answers, strict=True):
        assert answer.status_code == (200 if ticket == owner else 404)


async def test_lists_hold_the_rows_of_one_tenant(
    gateway: TestGateway, neighbour: Neighbour
) -> None:
    mine = gateway.new_ticket()
    path = "/ux/dispatcher/cockpit"
    ours = gateway.http.get(path, headers=gateway.bearer("dispatcher")).json()["queue"]
    theirs = gateway.http.get(path, headers=north(gateway)).json()["queue"]
    assert mine in {row["ticket_id"] for row in ours}
    assert neighbour.ticket in {row["ticket_id"] for row in theirs}
    assert not {row["ticket_id"] for row in ours} & {row["ticket_id"] for row in theirs}
