"""The keeper of promises: what it sends again, when, and what it leaves alone."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pytest
from temporalio.service import RPCError, RPCStatusCode

from api.command.bus import Bus
from contracts.command import SignedCommand
from contracts.signing import sign
from policy.command.message import Command
from runtime.postgres.pool import Connection, Pool
from runtime.temporal.sending import Sender
from tests.integration.command.command_runner import KEY, Runner, build_runner
from worker.promise_keeper import PATIENCE, PromiseKeeper

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
LONG = {"kind": "NOTE", "uri": "s3://notes/1", "metadata": {"text": "x" * 9000}}
DUE = "UPDATE command_promises SET send_at = now()"
NEXT = "SELECT extract(epoch FROM send_at - now())::int FROM command_promises"


@dataclass
class Engine:
    """A sender that remembers what was sent; `faults` are raised by the command that they name."""

    running: bool = True
    tried: int = 0
    faults: dict[UUID, Exception] = field(default_factory=dict)
    sent: list[SignedCommand] = field(default_factory=list)
    seen: list[Command] = field(default_factory=list)

    async def signal(self, signed: SignedCommand) -> bool:
        """Take it if a workflow runs."""
        self.tried += 1
        fault = self.faults.get(signed.command.command_id)
        if fault is not None:
            raise fault
        if self.running:
            self.sent.append(signed)
        return self.running

    async def start(self, signed: SignedCommand, seen: Command) -> None:
        """Take it."""
        self.sent.append(signed)
        self.seen.append(seen)

    @property
    def ids(self) -> list[UUID]:
        """The commands that were sent, in their order."""
        return [signed.command.command_id for signed in self.sent]


@dataclass
class Desk:
    """A gateway that promises, and keepers that keep it."""

    runner: Runner
    pool: Pool
    engine: Engine
    bus: Bus

    def keeper(self) -> PromiseKeeper:
        """Return one of several."""
        return PromiseKeeper(self.pool, cast("Sender", self.engine), KEY)

    async def promise(self, command: Command) -> Command:
        """Promise a command."""
        await self.bus.promise(sign(KEY, command))
        return command

    async def triages(self, count: int) -> list[Command]:
        """Promise commands of tickets, the newest call first."""
        now = datetime.now(UTC)
        commands = [
            self.runner.command(
                "ticket.triage",
                TRIAGE,
                await self.runner.create(),
                submitted_at=now - timedelta(minutes=number),
            )
            for number in range(count)
        ]
        return [await self.promise(command) for command in commands]

    async def round(self) -> int:
        """Let time pass until everything is due, and run a round."""
        await self.runner.owner.execute(DUE)
        return await self.keeper().round()


@pytest.fixture
async def desk(pool: Pool, owner: Connection) -> Desk:
    runner, engine = await build_runner(pool, owner), Engine()
    return Desk(runner, pool, engine, Bus(pool, cast("Sender", engine), KEY, runner.bundle))


async def test_nothing_is_sent_again_before_its_time(desk: Desk) -> None:
    await desk.triages(1)
    assert await desk.keeper().round() == 0
    assert desk.engine.sent == []


async def test_open_promises_are_sent_in_the_order_of_their_calls(desk: Desk) -> None:
    commands = await desk.triages(4)
    assert await desk.round() == 4
    assert desk.engine.ids == [command.command_id for command in reversed(commands)]


async def test_several_keepers_send_each_promise_once(desk: Desk) -> None:
    commands = await desk.triages(12)
    await desk.runner.owner.execute(DUE)
    await asyncio.gather(*(desk.keeper().round() for _ in range(4)))
    assert sorted(desk.engine.ids) == sorted(command.command_id for command in commands)


async def test_each_time_is_longer_until_it_is_a_minute(desk: Desk) -> None:
    await desk.triages(1)
    waits = []
    for _ in range(6):
        await desk.round()
        waits.append(await desk.runner.owner.fetchval(NEXT))
    assert waits == [10, 20, 40, 60, 60, 60]


async def test_a_decided_command_is_forgotten_and_not_sent(desk: Desk) -> None:
    decided, waiting = await desk.triages(2)
    await desk.runner.send(decided)
    assert await desk.round() == 1
    assert desk.engine.ids == [waiting.command_id]
    assert await desk.runner.owner.fetchval("SELECT count(*) FROM command_promises") == 1


async def test_what_is_sent_again_is_decided_like_the_first_time(desk: Desk) -> None:
    (command,) = await desk.triages(1)
    await desk.round()
    (signed,) = desk.engine.sent
    outcome = await desk.runner.activities().execute_command(signed)
    assert (outcome.command_id, outcome.code) == (command.command_id, None)


async def test_without_a_workflow_one_is_started_with_what_operators_see_of_a_large_body(
    desk: Desk,
) -> None:
    command = desk.runner.command("closeout.add_evidence", LONG, await desk.runner.create())
    desk.engine.running = False
    sent = await desk.bus.send(command, None)
    assert sent.command.payload_stored
    await desk.bus.promise(sent)
    await desk.round()
    assert desk.engine.sent == [sent, sent]
    assert [seen.payload for seen in desk.engine.seen] == [LONG, LONG]


async def test_a_row_that_no_gateway_wrote_is_never_sent(desk: Desk) -> None:
    command = desk.runner.command("ticket.triage", TRIAGE, await desk.runner.create())
    other = command.model_copy(update={"payload": {**TRIAGE, "priority": "EMERGENCY"}})
    await desk.bus.promise(sign(b"another key", command))
    await desk.bus.promise(sign(KEY, (await desk.triages(1))[0]))
    unbound = sign(KEY, other.model_copy(update={"command_id": UUID(int=7)}))
    await desk.bus.promise(unbound)
    assert await desk.round() == 3
    assert len(desk.engine.sent) == 1


@pytest.mark.parametrize(
    "fault",
    [
        RPCError("too long", RPCStatusCode.INVALID_ARGUMENT, b""),
        RPCError("its workflow is busy", RPCStatusCode.DEADLINE_EXCEEDED, b""),
        ValueError("a defect"),
    ],
    ids=["refused", "late", "a defect"],
)
async def test_one_that_cannot_be_sent_keeps_no_other_waiting(desk: Desk, fault: Exception) -> None:
    newest, oldest = await desk.triages(2)
    desk.engine.faults[oldest.command_id] = fault
    await desk.round()
    assert desk.engine.ids == [newest.command_id]


async def test_an_outage_of_the_engine_ends_the_round_and_loses_nothing(desk: Desk) -> None:
    commands = await desk.triages(2 * PATIENCE)
    outage = RPCError("gone", RPCStatusCode.UNAVAILABLE, b"")
    desk.engine.faults = {command.command_id: outage for command in commands}
    with pytest.raises(RPCError):
        await desk.round()
    assert desk.engine.tried == PATIENCE
    desk.engine.faults = {}
    await desk.round()
    assert len(desk.engine.sent) == len(commands)
