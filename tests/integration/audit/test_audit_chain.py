"""The audit chain, verified by a stranger who holds a timeline and this contract alone."""

import asyncio
import hashlib
import hmac
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx
import pytest
import rfc8785

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

AT_ONCE = 24


def digest(event: dict[str, Any]) -> str:
    """Return the hash of an event: SHA-256 of the RFC 8785 form of V without `hash`."""
    content = {name: value for name, value in event.items() if name != "hash"}
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def timeline(gateway: TestGateway, ticket: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
    return events


def assert_whole(events: list[dict[str, Any]]) -> None:
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["hash"] for event in events] == [digest(event) for event in events]
    assert events[0]["prev_hash"] == "0" * 64
    for before, after in pairwise(events):
        assert after["prev_hash"] == before["hash"]
        assert after["created_at"] > before["created_at"]


async def test_the_chain_of_a_lifecycle_verifies(gateway: TestGateway) -> None:
    ticket = gateway.ticket_in_progress()
    events = timeline(gateway, ticket)
    assert [event["tool_name"] for event in events] == [
        "ticket.create",
        "ticket.triage",
        "schedule.propose",
        "schedule.confirm",
        "assignment.dispatch",
        "tech.check_in",
    ]
    assert_whole(events)


async def test_the_chain_does_not_fork_under_concurrent_commands(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as first,
        gateway.sibling() as second,
    ):
        answers = await asyncio.gather(
            *(
                (first, second)[each % 2].post(
                    f"/tickets/{ticket}/evidence",
                    json={"kind": "PHOTO", "uri": f"s3://evidence/{each}"},
                    headers=gateway.as_role("agent", Idempotency_Key=str(uuid4())),
                )
                for each in range(AT_ONCE)
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    events = timeline(gateway, ticket)
    assert len(events) == AT_ONCE + 1
    assert_whole(events)


@pytest.mark.parametrize(
    "text", ["Türschloß klemmt", "\U0001f6aa", "\u2028", '"\\', "1e3", "\x01\t\n"]
)
async def test_any_text_is_hashed_exactly_as_it_is_answered(
    gateway: TestGateway, text: str
) -> None:
    odd = {text: [1.0, 1e21, 0.1, -0.0, 123456789012, None, {"nested": text}]}
    ticket = gateway.new_ticket(summary=f"Door {text}", **odd)
    events = timeline(gateway, ticket)
    assert events[0]["payload"]["request"]["summary"] == f"Door {text}"
    assert_whole(events)


async def test_personal_data_is_hashed_redacted(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket(contact={"Phone": ["+1-555-0199"], "note": "call first"})
    (event,) = timeline(gateway, ticket)
    contact = event["payload"]["request"]["contact"]
    assert contact["note"] == "call first"
    async with gateway.owner() as conn:
        key = await conn.fetchval("SELECT redaction_key()")
    mac = hmac.new(key, b'"+1-555-0199"', hashlib.sha256).hexdigest()
    assert contact["Phone"] == [f"redacted:{mac}"]
    assert_whole([event])


async def test_a_page_at_a_time_is_the_same_chain(gateway: TestGateway) -> None:
    ticket = gateway.ticket_in_progress()
    events: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = gateway.get(f"/tickets/{ticket}/timeline", limit=4, **more).json()
        events += page["events"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert events == timeline(gateway, ticket)
    assert_whole(events)
