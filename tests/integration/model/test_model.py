"""The real stack under random calls answers, and records, exactly what the pure model says."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from policy.assignment.roster import Technician
from policy.evidence.model import Evidence
from policy.model import Site, Ticket
from policy.values import truncate_to_milliseconds
from runtime.bundle import installed_bundle
from runtime.postgres.pool import Connection
from runtime.settings import load_settings
from tests.integration.model import model_queries as queries
from tests.integration.model.calls import Answer, Call, Seen, World
from tests.integration.model.model import Model
from tests.integration.model.random_calls import Caller
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]

CALLS = 200
SEEDS = (1, 270_892, secrets.randbelow(1_000_000))
NEW_IDS = {
    "closeout.add_evidence": ("evidence_id", "audit_id"),
    "tech.request_change": ("approval_id", "audit_id"),
    "ticket.triage": ("approval_id", "audit_id"),
    "schedule.hold": ("snapshot_id", "hold_id"),
}
NO_IDS = ("audit_id", "audit_id")
DAMAGES = {
    "a ticket": "UPDATE tickets SET nte_cents = nte_cents + 1 WHERE id = $1",
    "a lost answer": """
        DELETE FROM idempotency_keys
         WHERE command_id IN (SELECT command_id FROM audit_events WHERE ticket_id = $1)
    """,
    "a transition": """
        INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id)
        SELECT $1, 'NEW', 'TRIAGED', id FROM audit_events WHERE ticket_id = $1 LIMIT 1
    """,
}


@dataclass
class Walk:
    """One walk: the calls of a seed on two gateways, beside the model."""

    model: Model
    caller: Caller
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
    owner: Connection
    run: str
    steps: int = 0

    async def step(self) -> Counter[str]:
        """Make one call, alone, twice at once or without waiting; compare every answer."""
        call = self.caller.next()
        self.steps += 1
        manner = self.caller.random.choices(["alone", "twice", "impatient"], [88, 8, 4])[0]
        send = [self._send(call, each, manner) for each in range(2 if manner == "twice" else 1)]
        outcomes: Counter[str] = Counter()
        for command_id, answer in sorted(await asyncio.gather(*send), key=_replays_last):
            known = self.model.log.get(command_id)
            if known is not None and not answer.replayed:  # joined, the answer is shared
                expected = Answer(known["response_code"], known["response_body"])
            else:
                expected = self.model.judge(call, await self._seen(call, command_id))
            where = f"{self.run} step {self.steps}: {manner} {call}"
            assert answer == expected, where
            outcomes[f"{call.tool} {answer.body.get('error', {}).get('code', 'done')}"] += 1
            outcomes["replayed"] += answer.replayed
        return outcomes

    async def _send(self, call: Call, number: int, manner: str) -> tuple[UUID, Answer]:
        rule = self.model.bundle.tools[call.tool]
        path = rule.route.replace("{ticketId}", str(call.ticket_id))
        headers = {
            "X-Actor-Id": call.actor.actor_id,
            "X-Actor-Role": call.actor.actor_role.value,
            "X-Account-Scope": ",".join(map(str, call.actor.account_ids or ())) or "*",
            "X-Correlation-Id": f"{self.run}-{self.steps}",
            "Idempotency-Key": call.key,
            "Prefer": f"wait={0 if manner == 'impatient' else 30}",
        }
        answer = await self.clients[number].post(path, json=call.payload, headers=headers)
        command_id = UUID(answer.headers["X-Command-Id"])
        if answer.status_code == httpx.codes.ACCEPTED:
            return command_id, await self._followed(answer.json()["status_url"], headers)
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
        return command_id, Answer(answer.status_code, answer.json(), replayed=replayed)

    async def _followed(self, url: str, headers: dict[str, str]) -> Answer:
        async def decided() -> dict[str, Any] | None:
            status: dict[str, Any] = (await self.clients[1].get(url, headers=headers)).json()
            return status if status["status"] != "accepted" else None

        status = await eventually(decided, what="a decision")
        return Answer(status["response_code"], status["response_body"])

    async def _seen(self, call: Call, command_id: UUID) -> Seen:
        row = dict(await self.owner.fetchrow(queries.SEEN, command_id) or {})
        drawn = [row[name] or uuid4() for name in NEW_IDS.get(call.tool, NO_IDS)]
        return Seen(
            command_id=command_id,
            correlation_id=row["correlation_id"],
            submitted_at=row["submitted_at"],
            decided_at=truncate_to_milliseconds(row["decided_at"]),
            audit_id=row["audit_id"] or uuid4(),
            new_ids=(drawn[0], drawn[1]),
        )

    async def assert_same_rows(self) -> None:
        """Compare every table that the walk has touched, row by row."""
        model, ids = self.model, list(self.model.tickets)
        tickets = {row["id"]: _ticket(row) for row in await self._rows(queries.TICKETS, ids)}
        assert tickets == model.tickets
        await self._assert_histories(ids)
        log = {row.pop("command_id"): row for row in await self._rows(queries.LOG, f"{self.run}-%")}
        assert log == model.log
        stored = {
            (row.pop("actor_id"), row.pop("endpoint"), str(row.pop("request_id"))): row
            for row in await self._rows(queries.STORED, f"{self.run}-%")
        }
        assert stored == model.stored
        approvals = {
            (row["id"], row["status"], row["reason"])
            for row in await self._rows(queries.APPROVALS, ids)
        }
        assert approvals == {
            (key, row["status"], row["reason"]) for key, row in model.approvals.items()
        }
        outbox = await self._rows(queries.OUTBOX, list(map(str, ids)))
        assert {row["idempotency_key"]: row["payload"] for row in outbox} == {
            key: dict(write.payload) for key, write in model.outbox.items()
        }
        packets = await self._rows(queries.PACKETS, ids)
        assert {row["ticket_id"]: row["artifact_hash"] for row in packets} == {
            key: write.artifact_hash for key, write in model.packets.items()
        }

    async def _assert_histories(self, ids: list[UUID]) -> None:
        for ticket in ids:
            assert await self._rows(queries.AUDIT, ticket) == self.model.audit[ticket]
            moves = await self._rows(queries.TRANSITIONS, ticket)
            assert [tuple(row.values()) for row in moves] == [
                (each.from_state, each.to_state, each.occurred_at)
                for each in self.model.transitions[ticket]
            ]
            evidence = [Evidence(**row) for row in await self._rows(queries.EVIDENCE, ticket)]
            assert evidence == self.model.evidence[ticket]

    async def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.owner.fetch(query, *values)]


def _replays_last(result: tuple[UUID, Answer]) -> bool:
    return result[1].replayed


def _ticket(row: dict[str, Any]) -> Ticket:
    fields = {name: row[name] for name in Ticket.model_fields}
    return Ticket(**{**fields, "updated_at": truncate_to_milliseconds(row["updated_at"])})


@pytest.fixture
async def owner(gateway: TestGateway) -> AsyncIterator[Connection]:
    async with gateway.owner() as conn:
        for name in ("json", "jsonb"):
            await conn.set_type_codec(
                name, schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads
            )
        yield conn


@asynccontextmanager
async def walking(gateway: TestGateway, owner: Connection, seed: int) -> AsyncIterator[Walk]:
    """Begin a walk at the demo site, on the running gateway and a second one."""
    settings, _ = load_settings(gateway.env)
    site = Site(**dict(await owner.fetchrow(queries.SITE, UUID(gateway.site_id)) or {}))
    technicians = [Technician(**dict(row)) for row in await owner.fetch(queries.TECHNICIANS)]
    key = await owner.fetchval("SELECT redaction_key()")
    world = World(site, {each.id: each for each in technicians}, key)
    model = Model(installed_bundle(settings), world)
    run = f"walk-{seed}-{uuid4().hex[:6]}"
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=60) as first,
        gateway.sibling() as second,
    ):
        yield Walk(model, Caller(seed, model, place, run), (first, second), owner, run)


@pytest.mark.parametrize("seed", SEEDS, ids=["1", "270892", "any"])
async def test_a_random_walk_leaves_exactly_the_rows_of_the_model(
    gateway: TestGateway, owner: Connection, seed: int
) -> None:
    """The seed stands in every failure."""
    outcomes: Counter[str] = Counter()
    async with walking(gateway, owner, seed) as walk:
        for _ in range(CALLS):
            outcomes += await walk.step()
    await walk.assert_same_rows()
    assert len(outcomes) > CALLS // 5, "the walk saw too little"
    assert outcomes["replayed"] > 0


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_the_comparison_notices_one_wrong_row(
    gateway: TestGateway, owner: Connection, damage: str
) -> None:
    async with walking(gateway, owner, SEEDS[0]) as walk:
        while not walk.model.audit:
            await walk.step()
    await walk.assert_same_rows()
    async with owner.transaction():
        await owner.execute(damage, next(iter(walk.model.audit)))
        with pytest.raises(AssertionError):
            await walk.assert_same_rows()
