"""Assignment automation as a process of its own, against the whole stack (contract 16.2)."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import socket
from typing import Any
from uuid import uuid4

import orjson
import pytest

from contracts.command import AUTOMATION_HEADER
from tests.integration.rows import ACCOUNT, SITE
from tests.integration.servers.gateway import TestGateway
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.stack_fixture"]

AUTOMATION = "from automation.main import main; main()"
Record = dict[str, Any]


@dataclass
class Automation:
    """The running process and what it logged so far."""

    process: asyncio.subprocess.Process
    records: list[Record] = field(default_factory=list)

    async def read(self) -> None:
        """Collect records until the process ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.records.append(orjson.loads(line))

    async def logged(self, event: str, **fields: object) -> Record:
        """Wait for a record of this event with these fields."""

        async def find() -> Record | None:
            for record in self.records:
                if record["event"] == event and fields.items() <= record.items():
                    return record
            return None

        return await eventually(find, what=f"{event} {fields}")

    def events(self) -> list[str]:
        """Return the names of the events so far."""
        return [record["event"] for record in self.records]


@asynccontextmanager
async def automation(env: Mapping[str, str], **more: str) -> AsyncIterator[Automation]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
    names = {"DISPATCH_WORKER_ENABLED": "true", "DISPATCH_WORKER_LOOP_MS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AUTOMATION),
        env={**inherited, **env, **names, **more},
        stdout=asyncio.subprocess.PIPE,
    )
    running = Automation(process)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@dataclass(frozen=True)
class Place:
    """An account and a site of this test alone, so that automation meddles with nothing else."""

    gateway: TestGateway
    account_id: str
    site_id: str

    def scheduled_ticket(self, incident_type: str = "DOOR_WONT_LATCH") -> str:
        """Create a ticket in SCHEDULED."""
        gateway, window = self.gateway, self.gateway.window()
        ticket = gateway.new_ticket(account_id=self.account_id, site_id=self.site_id)
        what = {"priority": "URGENT", "incident_type": incident_type, "ready_to_schedule": True}
        gateway.done(f"/tickets/{ticket}/triage", what)
        gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [window]})
        gateway.done(f"/tickets/{ticket}/schedule/confirm", window)
        return ticket

    def env(self) -> dict[str, str]:
        """Return the environment of an automation that sees this place only."""
        scope = {"account_ids": [self.account_id], "site_ids": "*"}
        header = self.gateway.bearer("dispatcher", sub="robot", actor_type="SERVICE", scope=scope)
        return {
            **self.gateway.env,
            "DISPATCH_WORKER_TOKEN": header["Authorization"].removeprefix("Bearer "),
        }

    def tools(self, ticket: str) -> list[str]:
        """Return the tools on the ticket's timeline."""
        events = self.gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
        return [event["tool_name"] for event in events]


@pytest.fixture
async def place(gateway: TestGateway) -> Place:
    async with gateway.owner() as conn:
        account = await conn.fetchval(ACCOUNT, "default")
        return Place(gateway, str(account), str(await conn.fetchval(SITE, account)))


async def test_it_does_not_run_unless_it_is_switched_on() -> None:
    async with automation({}, DISPATCH_WORKER_ENABLED="false") as robot:
        assert await robot.process.wait() == 0
    (record,) = robot.records
    assert list(record)[:4] == ["level", "service", "ts", "event"]
    assert (record["event"], record["service"]) == ("worker.disabled", "dispatch-worker")
    assert record["worker"] == "dispatch-worker"


async def test_a_scheduled_ticket_gets_a_technician_and_the_process_stops_cleanly(
    place: Place,
) -> None:
    ticket = place.scheduled_ticket()
    async with automation(place.env()) as robot:
        success = await robot.logged("worker.dispatch_success", ticket_id=ticket)
        beat = await robot.logged("worker.heartbeat", queue_missing_tech=1)
        await robot.logged("worker.cycle_complete", success_count=1)
        await robot.logged("worker.cycle_complete", queued_count=0)
        robot.process.send_signal(signal.SIGTERM)
        assert await robot.process.wait() == 0

    assert beat.keys() >= {"cycle", "queue_total", "batch_limit", "correlation_id"}
    assert robot.events()[-2:] == ["worker.shutdown_requested", "worker.shutdown_complete"]
    done = robot.records[-1]
    counted = {name: done[name] for name in ("recommendations", "dispatches", "skipped", "errors")}
    assert counted == {"recommendations": 1, "dispatches": 1, "skipped": 0, "errors": 0}
    assert done["last_error"] is None

    body = place.gateway.get(f"/tickets/{ticket}").json()
    assert (body["state"], body["assigned_tech_id"]) == ("DISPATCHED", success["tech_id"])
    assert place.tools(ticket)[-2:] == ["assignment.recommend", "assignment.dispatch"]
    events = place.gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
    assert (events[-1]["actor_id"], events[-1]["actor_type"]) == ("robot", "SERVICE")
    validation = events[-1]["payload"]["dispatch_validation"]
    assert validation["recommendation_snapshot_id"] == success["snapshot_id"]


async def test_a_paused_ticket_is_left_alone_until_it_is_let_go(place: Place) -> None:
    ticket, gateway = place.scheduled_ticket(), place.gateway
    scope = {"scope_type": "TICKET", "ticket_id": ticket}
    gateway.done("/ops/autonomy/pause", scope)
    async with automation(place.env()) as robot:
        await robot.logged("worker.skipped", ticket_id=ticket, reason="autonomy_paused")
        assert "assignment.recommend" not in place.tools(ticket)
        gateway.done("/ops/autonomy/rollback", scope)
        await robot.logged("worker.dispatch_success", ticket_id=ticket)


async def test_a_pause_stops_automation_inside_the_activity_and_nobody_else(place: Place) -> None:
    ticket, gateway = place.scheduled_ticket(), place.gateway
    body = {"tech_id": gateway.tech_id, "dispatch_mode": "STANDARD"}
    path, key = f"/tickets/{ticket}/assignment/dispatch", str(uuid4())
    as_robot = {**gateway.as_role("dispatcher"), AUTOMATION_HEADER: "1"}
    scope = {"scope_type": "TICKET", "ticket_id": ticket}
    gateway.done("/ops/autonomy/pause", {**scope, "reason": "stop"})

    refused = gateway.post(path, body, key=key, headers=as_robot)

    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["scope_type"]) == ("AUTONOMY_DISABLED", "TICKET")
    assert error["reason"] == "stop"
    assert gateway.get(f"/tickets/{ticket}").json()["state"] == "SCHEDULED"
    assert gateway.post(path, body, key=key).status_code == 200


async def test_two_automations_at_once_make_one_dispatch(place: Place) -> None:
    tickets = [place.scheduled_ticket() for _ in range(3)]
    async with automation(place.env()) as one, automation(place.env()) as two:
        for ticket in tickets:
            races = [
                asyncio.create_task(each.logged("worker.dispatch_success", ticket_id=ticket))
                for each in (one, two)
            ]
            await asyncio.wait(races, return_when=asyncio.FIRST_COMPLETED)
            for task in races:
                task.cancel()
    for ticket in tickets:
        tools = place.tools(ticket)
        assert tools.count("assignment.dispatch") == tools.count("assignment.recommend") == 1


async def test_a_type_that_nobody_serves_is_reported_and_keeps_nobody_from_its_turn(
    place: Place,
) -> None:
    async with place.gateway.owner() as conn:
        await conn.execute(
            "UPDATE sites SET region = 'NOWHERE' WHERE id = $1::text::uuid", place.site_id
        )
    lost = [place.scheduled_ticket() for _ in range(2)]
    async with automation(place.env(), DISPATCH_WORKER_BATCH_LIMIT="1") as robot:
        for ticket in lost:
            await robot.logged("worker.no_recommendation", ticket_id=ticket)


async def test_without_a_gateway_it_says_so_and_goes_on() -> None:
    with socket() as nobody:  # bound, but not listening
        nobody.bind(("127.0.0.1", 0))
        await _goes_on(f"http://127.0.0.1:{nobody.getsockname()[1]}")


async def _goes_on(url: str) -> None:
    env = {"DISPATCH_API_URL": url}
    async with automation(env) as robot:
        await robot.logged("worker.cockpit_error", cycle=1)
        await robot.logged("worker.cockpit_error", cycle=2)
        robot.process.send_signal(signal.SIGINT)
        assert await robot.process.wait() == 0
    assert robot.records[-1]["errors"] >= 2
    assert robot.records[-1]["last_error"] == "ConnectError"


async def test_a_gateway_that_never_answers_keeps_it_from_neither_heartbeat_nor_end() -> None:
    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        limits = {
            "DISPATCH_WORKER_REQUEST_TIMEOUT_MS": "60000",
            "DISPATCH_WORKER_HEARTBEAT_MS": "50",
            "DISPATCH_WORKER_SHUTDOWN_TIMEOUT_MS": "200",
        }
        env = {"DISPATCH_API_URL": f"http://127.0.0.1:{port}"}
        async with automation(env, **limits) as robot:

            async def has_a_pulse() -> bool:
                return robot.events().count("worker.heartbeat") > 3

            await eventually(has_a_pulse)
            robot.process.send_signal(signal.SIGTERM)
            assert await robot.process.wait() == 1
    assert robot.events()[-1] == "worker.shutdown_forced"
