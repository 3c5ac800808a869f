"""The demo's walk believes nothing: a gateway that errs is found out, one that is late is not."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest
from pydantic import JsonValue

from cli.scenario import walk as walk_module
from cli.scenario.lifecycle import LIFECYCLE, Step
from cli.scenario.walk import Check, GatewayDownError, Walk
from policy.audit.chain import GENESIS
from policy.canonical import sha256_hex
from policy.rules.bundle import load_bundle

TICKET_ID = "00000000-0000-0000-0000-000000000001"
NAMES = {"account_id": "a", "site_id": "s"}
CREATE = LIFECYCLE[0]
Answer = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """A gateway that only creates one ticket; a test bends what it answers."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.ticket = {
            "id": TICKET_ID,
            "account_id": "a",
            "priority": "ROUTINE",
            "state": "NEW",
            "version": 0,
        }
        self.evidence: list[dict[str, Any]] = []
        self.bend: Callable[[list[dict[str, Any]]], None] = lambda _: None
        self.replay: Answer = lambda _: httpx.Response(
            201, json=self.ticket, headers={"Idempotency-Replayed": "true"}
        )
        self.first: Answer = lambda _: httpx.Response(201, json=self.ticket)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a create, its replay, or a read."""
        match request.method, request.url.path.rpartition("/")[2]:
            case "POST", _:
                key = request.headers["Idempotency-Key"]
                repeated = key in self.keys
                reply = (self.replay if repeated else self.first)(request)
                if reply.status_code == httpx.codes.CREATED:
                    self.keys.append(key)
                return reply
            case _, "timeline":
                return httpx.Response(200, json={"events": self.events()})
            case _, "evidence":
                return httpx.Response(200, json={"evidence": self.evidence})
            case _:
                return httpx.Response(200, json=self.ticket)

    def events(self) -> list[dict[str, Any]]:
        """Return the timeline."""
        event: dict[str, JsonValue] = {
            "id": "e",
            "ticket_id": TICKET_ID,
            "tool_name": "ticket.create",
            "request_id": self.keys[0],
            "after_state": "NEW",
            "created_at": "2026-01-01T00:00:00.000Z",
            "seq": 1,
            "prev_hash": GENESIS,
        }
        events: list[dict[str, Any]] = [{**event, "hash": sha256_hex(event)}]
        self.bend(events)
        return events


async def failures(gateway: Gateway, step: Step = CREATE) -> list[str]:
    """Walk one step and return the names of the checks that failed."""
    checks: list[Check] = []
    async with httpx.AsyncClient(
        base_url="http://gateway", transport=httpx.MockTransport(gateway.answer)
    ) as client:
        walk = Walk(client, load_bundle(), lambda _: {}, (step,), NAMES)
        async for visit in walk.steps():
            checks += visit.checks
        async for replay in walk.replays():
            checks.append(replay.check)
        checks += (await walk.history())[1]
    return [check.name for check in checks if check.failure is not None]


async def test_a_gateway_that_keeps_its_word_passes() -> None:
    assert await failures(Gateway()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": 409}, "HTTP 409"),
        ({"version": 3}, "version 3"),
        ({"expects": {"priority": "URGENT"}}, "priority URGENT"),
        ({"expects": {"no.such.member": 1}}, "no.such.member 1"),
    ],
)
async def test_each_broken_expectation_is_named(change: dict[str, Any], expected: str) -> None:
    assert expected in await failures(Gateway(), replace(CREATE, **change))


async def test_an_answer_that_a_read_contradicts_is_found() -> None:
    gateway = Gateway()
    gateway.first = lambda _: httpx.Response(201, json={**gateway.ticket, "nte_cents": 7})
    assert "read back the same" in await failures(gateway)


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(201, json={}, headers={"Idempotency-Replayed": "true"}),
        httpx.Response(201, json=Gateway().ticket),
        httpx.Response(200, json=Gateway().ticket, headers={"Idempotency-Replayed": "true"}),
    ],
)
async def test_a_replay_that_differs_is_found(reply: httpx.Response) -> None:
    gateway = Gateway()
    gateway.replay = lambda _: reply
    assert await failures(gateway) == ["identical answer, replayed"]


async def test_a_forged_timeline_is_found() -> None:
    gateway = Gateway()
    gateway.bend = lambda events: events[0].update(actor_id="somebody")
    assert await failures(gateway) == ["hash chain verified from the timeline alone"]
    gateway.bend = lambda events: events.clear()
    assert "one event per accepted command, in order" in await failures(gateway)


async def test_evidence_that_is_not_sealed_is_found() -> None:
    gateway = Gateway()
    gateway.evidence = [{"uri": "s3://b/k", "is_immutable": False}]
    assert await failures(gateway) == ["all evidence sealed"]


async def test_a_late_or_broken_gateway_is_asked_again_with_the_same_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walk_module, "PAUSE_SECONDS", 0)
    gateway, calls, seen = Gateway(), count(), set()

    def first(request: httpx.Request) -> httpx.Response:
        seen.add(request.headers["Idempotency-Key"])
        match next(calls):
            case 0:
                return httpx.Response(503, json={})
            case 1:
                raise httpx.ConnectError("gone", request=request)
            case 2:
                return httpx.Response(202, json={})
            case _:
                return httpx.Response(201, json=gateway.ticket)

    gateway.first = first
    assert await failures(gateway) == []
    assert len(seen) == 1
    assert next(calls) == 4


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(walk_module, "PATIENCE", walk_module.PATIENCE * 0.001)
    gateway = Gateway()
    gateway.first = lambda _: httpx.Response(503, json={"error": {"code": "ENGINE_UNAVAILABLE"}})
    with pytest.raises(GatewayDownError, match="ENGINE_UNAVAILABLE"):
        await failures(gateway)
