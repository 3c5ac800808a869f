"""Health on a real stack: what is up is up, and what is down is named (contract 15.4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.ops.health import FRESH_SECONDS
from api.ops.schema import read_schema
from api.ops.servers import engine_trouble
from policy.model import State
from policy.rules.bundle import load_bundle
from runtime.postgres.migrate import TRANSITION_CHECK
from runtime.postgres.pool import Connection, Pool
from runtime.temporal.client import ensure_search_attributes
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually
from workflows.deadlines import DeadlineSweepWorkflow

pytest_plugins = [
    "tests.integration.servers.stack_fixture",
    "tests.integration.servers.postgres_fixture",
]

BUNDLE = load_bundle()
NOWHERE = "127.0.0.1:9"
UNKNOWN_ATTRIBUTES = "the namespace does not know the search attributes yet"


def failing(body: dict[str, Any]) -> list[str]:
    return [failure["name"] for failure in body["failures"]]


def test_a_complete_stack_is_healthy(gateway: TestGateway) -> None:
    answer = gateway.http.get("/health")
    body = answer.json()
    checks = body["checks"]

    assert answer.status_code == 200, body["failures"]
    assert (body["status"], body["service"], body["failures"]) == ("ok", "dispatch-api", [])
    assert body["runbook"] == "dispatch/ops/runbooks/health_db_migration.md"
    assert checks["database"] == {"name": "database_connectivity", "status": "pass"}
    assert checks["engine"] == {
        "name": "engine_connectivity",
        "status": "pass",
        "namespace": "default",
        "task_queue": "dispatch-tickets",
    }
    assert checks["object_store"] == {
        "name": "object_store",
        "status": "pass",
        "configured": True,
    }
    assert checks["artifact_integrity"]["evidence_head_verification_enabled"] == "warn"
    assert checks["artifact_integrity"]["evidence_head_verification_mode"] == "disabled"


def test_every_transition_is_checked_by_name(gateway: TestGateway) -> None:
    checks = gateway.http.get("/health").json()["checks"]["migration"]
    pairs = {name: value for name, value in checks.items() if "->" in name}

    assert len(pairs) == 58
    assert set(pairs.values()) == {"pass"}
    assert {"NULL->NEW", "NEW->TRIAGED", "INVOICED->CLOSED"} <= set(pairs)
    assert checks["transition_constraint_name"] == TRANSITION_CHECK
    assert checks["schema_version"].endswith(".sql")


def test_liveness_and_readiness_need_no_identity(gateway: TestGateway) -> None:
    assert gateway.http.get("/health/live").json() == {"status": "ok"}
    ready = gateway.http.get("/health/ready", headers={"Authorization": "nonsense"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "failures": []})


async def test_an_unreachable_engine_is_named(gateway: TestGateway) -> None:
    async with gateway.sibling(DISPATCH_TEMPORAL_ADDRESS=NOWHERE) as client:
        health, ready = await client.get("/health"), await client.get("/health/ready")
        status = await client.get("/tools/dispatch_contract_status", headers=gateway.as_role("ops"))
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert failing(health.json()) == failing(ready.json()) == ["engine_connectivity"]
    assert health.headers["Retry-After"] == "5"
    assert (status.status_code, status.json()["health"]["status"]) == (200, "unhealthy")


async def test_a_task_queue_without_worker_is_not_ready(gateway: TestGateway) -> None:
    async with gateway.sibling(DISPATCH_TEMPORAL_TASK_QUEUE="nobody-polls-this") as client:
        assert (await client.get("/health/ready")).status_code == 503
        engine = (await client.get("/health")).json()["checks"]["engine"]
    assert engine["detail"] == "no worker polls the task queue"


async def test_ready_means_that_a_ticket_can_be_started_also_in_a_namespace_made_just_now(
    gateway: TestGateway,
) -> None:
    address, name = gateway.env["DISPATCH_TEMPORAL_ADDRESS"], f"fresh-{uuid4().hex[:8]}"
    engine = await Client.connect(address, namespace=name)
    day = Duration(seconds=86400)
    await engine.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=day)
    )

    async def polls() -> bool:
        return await engine_trouble(engine, "dispatch-tickets") != "the engine is refused"

    await eventually(polls)
    polling = Worker(
        engine,
        task_queue="dispatch-tickets",
        workflows=[DeadlineSweepWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with polling, gateway.sibling(DISPATCH_TEMPORAL_NAMESPACE=name) as client:

        async def is_the_last_thing_missing() -> bool:
            return await engine_trouble(engine, "dispatch-tickets") == UNKNOWN_ATTRIBUTES

        await eventually(is_the_last_thing_missing)
        unready, refused = await client.get("/health/ready"), await created(client, gateway)
        await ensure_search_attributes(engine)

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).is_success

        await eventually(is_ready)
        taken = await created(client, gateway)

    assert failing(unready.json()) == ["engine_connectivity"]
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "ENGINE_UNAVAILABLE")
    assert error["reason"] == "refused"
    assert "reached and refused" in error["message"]
    assert taken.status_code == 202


async def test_an_engine_that_is_not_there_is_told_apart_from_one_that_refuses(
    gateway: TestGateway,
) -> None:
    async with gateway.sibling(DISPATCH_TEMPORAL_ADDRESS=NOWHERE) as client:
        absent = await created(client, gateway)
        engine = (await client.get("/health")).json()["checks"]["engine"]
    async with gateway.sibling(DISPATCH_TEMPORAL_NAMESPACE="never-registered") as client:
        refusing = await created(client, gateway)
    answers = [each.json()["error"] for each in (absent, refusing)]
    assert [each["code"] for each in answers] == ["ENGINE_UNAVAILABLE"] * 2
    assert [each["reason"] for each in answers] == ["unreachable", "refused"]
    assert answers[0]["message"] != answers[1]["message"]
    assert engine["detail"] == "the engine is unreachable"


async def created(client: httpx.AsyncClient, gateway: TestGateway) -> httpx.Response:
    """Ask for a ticket without waiting for what becomes of it."""
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    headers = {**gateway.as_role("dispatcher"), "Idempotency-Key": str(uuid4())}
    body = {**place, "summary": "Door does not latch"}
    return await client.post("/tickets", json=body, headers={**headers, "Prefer": "wait=0"})


async def test_a_missing_bucket_is_unhealthy_but_ready(gateway: TestGateway) -> None:
    async with gateway.sibling(DISPATCH_S3_BUCKET="no-such-bucket") as client:
        assert failing((await client.get("/health")).json()) == ["object_store"]
        assert (await client.get("/health/ready")).status_code == 200


async def test_no_bucket_is_a_warning_unless_evidence_is_looked_up(gateway: TestGateway) -> None:
    async with gateway.sibling(DISPATCH_S3_BUCKET="") as client:
        body = (await client.get("/health")).json()
    assert (body["status"], body["checks"]["object_store"]["status"]) == ("ok", "warn")
    needed = {"DISPATCH_S3_BUCKET": "", "DISPATCH_EVIDENCE_REQUIRE_HEAD": "true"}
    async with gateway.sibling(**needed) as client:
        assert failing((await client.get("/health")).json()) == ["object_store"]


async def test_production_must_look_evidence_up(gateway: TestGateway) -> None:
    careless = {"DISPATCH_ENV": "production", "REQUIRE_EVIDENCE_CHECKSUM": "false"}
    async with gateway.sibling(**careless) as client:
        body = (await client.get("/health")).json()
    assert failing(body) == ["evidence_checksum_enforcement_enabled"]
    assert body["checks"]["artifact_integrity"]["evidence_checksum_enforcement_mode"] == "optional"


async def test_a_lost_database_is_down_and_comes_back(gateway: TestGateway) -> None:
    url = urlsplit(gateway.env["DISPATCH_DATABASE_URL"])
    async with _Cable.laid(url.hostname or "", url.port or 0) as cable:
        netloc = url.netloc.replace(f":{url.port}", f":{cable.port}")
        address = url._replace(netloc=netloc).geturl()
        async with gateway.sibling(DISPATCH_DATABASE_URL=address) as client:
            assert (await client.get("/health")).status_code == 200
            await cable.cut()
            down = await eventually(lambda: _answered(client, 503))
            ready = await client.get("/health/ready")
            read = await client.get("/tools", headers=gateway.as_role("ops"))
            await cable.mend()
            back = await eventually(lambda: _answered(client, 200))
    assert down.json()["status"] == "down"
    assert failing(down.json()) == failing(ready.json()) == ["database_connectivity"]
    assert set(down.json()["checks"]["migration"]) >= {"tickets_table", "NULL->NEW"}
    assert read.status_code == 200
    assert back.json()["status"] == "ok"


async def _answered(client: httpx.AsyncClient, status: int) -> httpx.Response | None:
    answer = await client.get("/health")
    return answer if answer.status_code == status else None


async def test_however_often_health_is_asked_its_servers_are_asked_once_a_second(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    async def asked(client: Client, task_queue: str) -> str | None:
        looks.append(asyncio.get_running_loop().time())
        return await engine_trouble(client, task_queue)

    monkeypatch.setattr("api.ops.health.engine_trouble", asked)
    async with gateway.sibling() as client:

        async def asked_often() -> bool:
            paths = ("/health", "/health/ready") * 10
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            assert {answer.status_code for answer in answers} == {200}
            return len(looks) > 2

        await eventually(asked_often)
    assert all(later - earlier >= FRESH_SECONDS for earlier, later in pairwise(looks))


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("ALTER TABLE audit_events DISABLE TRIGGER trg_audit_events_append_only", None),
        (
            f"ALTER TABLE ticket_state_transitions DROP CONSTRAINT {TRANSITION_CHECK}",
            "NEW->TRIAGED",
        ),
        ("ALTER TYPE ticket_state RENAME VALUE 'CANCELLED' TO 'DROPPED'", "cancelled_state"),
        ("DELETE FROM schema_migrations WHERE name LIKE '0003%'", "schema_complete"),
        ("ALTER TABLE command_log RENAME TO log", "command_log_table"),
        (
            "ALTER TABLE evidence_items DROP COLUMN is_immutable CASCADE",
            "evidence_immutable_column",
        ),
    ],
)
async def test_a_damaged_schema_is_named(
    owner: Connection, pool: Pool, damage: str, check: str | None
) -> None:
    await owner.execute(damage)
    async with pool.acquire() as conn:
        checks = (await read_schema(conn)).checks(BUNDLE)
    assert checks[check or "append_only_triggers"] == "fail"


async def test_a_pair_that_only_the_database_accepts_fails(owner: Connection, pool: Pool) -> None:
    await owner.execute(
        f"ALTER TABLE ticket_state_transitions DROP CONSTRAINT {TRANSITION_CHECK},"
        f" ADD CONSTRAINT {TRANSITION_CHECK} CHECK (from_state = 'CLOSED' OR from_state <> 'NEW')"
    )
    async with pool.acquire() as conn:
        checks = (await read_schema(conn)).checks(BUNDLE)
    assert checks["transition_constraint"] == "fail"
    assert checks["CLOSED->NEW"] == "fail"
    assert checks["NEW->TRIAGED"] == "fail"
    assert checks["NEEDS_INFO->TRIAGED"] == "pass"
    assert checks["NULL->NEW"] == "pass"
    assert len([name for name in checks if name.startswith("NULL->")]) == len(State)


async def test_a_condition_on_more_than_the_pair_accepts_none(
    owner: Connection, pool: Pool
) -> None:
    await owner.execute(
        f"ALTER TABLE ticket_state_transitions DROP CONSTRAINT {TRANSITION_CHECK},"
        f" ADD CONSTRAINT {TRANSITION_CHECK} CHECK (from_state IS NULL OR seq > 0)"
    )
    async with pool.acquire() as conn:
        checks = (await read_schema(conn)).checks(BUNDLE)
    assert checks["transition_constraint"] == checks["NULL->NEW"] == "fail"


class _Cable:
    """A line to a server that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def laid(cls, host: str, port: int) -> AsyncIterator["_Cable"]:
        cable = cls(host, port)
        await cable.mend()
        try:
            yield cable
        finally:
            await cable.cut()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        far, forth = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(_pump(near, forth), _pump(far, back))
        finally:
            self._lines.discard(task)
            for writer in (forth, back):
                writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
