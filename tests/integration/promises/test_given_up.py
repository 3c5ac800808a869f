"""A command that cannot be decided owns neither its subject nor its worker."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg
import pytest

from activities.command.attempts import MOST_ATTEMPTS
from activities.ticket.aggregate import TicketAggregate
from contracts.ticket import TimerFired
from policy.command.message import Command
from policy.model import State
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Answer, Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

RING, ATTEMPT = "activities.ticket.commands.ring", "activities.ticket.commands.attempt_number"
DECIDE = "activities.command.transaction.decide"
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
FAILED = "SELECT failed FROM command_attempts WHERE command_id = $1"
GIVEN_UP = "SELECT workflow_id, reference FROM command_attempts WHERE given_up_at IS NOT NULL"
ROWS = "SELECT count(*) FROM command_attempts"


class DefectError(Exception):
    """A defect of ours."""


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:  # noqa: ANN401  as they come
        raise error

    return fail


async def failing(runner: Runner, command: Command, error: Exception, times: int) -> None:
    """Attempt a command that raises, as often as it is told."""
    with patch(DECIDE, raising(error)):
        for _ in range(times):
            with pytest.raises(type(error)):
                await runner.send(command)


def late(runner: Runner, ticket: UUID) -> Command:
    """Return a command whose attempts are counted before they are made."""
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    return runner.command("ticket.triage", TRIAGE, ticket, submitted_at=long_ago)


async def refused(runner: Runner, command: Command) -> Answer:
    """Attempt a command that raises, once more; it must be refused."""
    with patch(DECIDE, raising(DefectError())):
        answer = await runner.send(command)
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")
    return answer


async def test_a_command_that_fails_by_a_defect_is_refused_with_a_reference_and_the_next_one_runs(
    runner: Runner,
) -> None:
    ticket = await runner.create()
    command = runner.command("ticket.triage", TRIAGE, ticket)
    await failing(runner, command, DefectError(), 1)
    command = command.model_copy(update={"submitted_at": datetime.now(UTC) - timedelta(minutes=1)})
    await failing(runner, command, DefectError(), MOST_ATTEMPTS - 1)
    answer = await refused(runner, command)
    row = await runner.owner.fetchrow(GIVEN_UP)
    assert row is not None
    assert (row["workflow_id"], str(row["reference"])) == (
        f"ticket-{ticket}",
        answer.error["reference"],
    )
    assert (await runner.run("ticket.triage", TRIAGE, ticket)).status == 200


async def test_a_refusal_for_a_defect_is_final_and_leaves_nothing_half_done(
    runner: Runner,
) -> None:
    ticket = await runner.create()
    command = late(runner, ticket)
    await failing(runner, command, DefectError(), MOST_ATTEMPTS)
    first = await refused(runner, command)
    assert await runner.send(command) == first
    state = await runner.owner.fetchval("SELECT state FROM tickets WHERE id = $1", ticket)
    assert state == State.NEW


@pytest.mark.parametrize(
    "outage",
    [
        OSError("the network is gone"),
        asyncpg.ConnectionDoesNotExistError("killed"),
        asyncpg.SerializationError("lost a race"),
        asyncpg.DeadlockDetectedError("lost a race"),
        asyncpg.DiskFullError("no space left"),
        asyncpg.UndefinedColumnError("the migration is still to come"),
    ],
    ids=lambda it: type(it).__name__,
)
async def test_an_outage_is_waited_out_however_often_it_happens(
    runner: Runner, outage: Exception
) -> None:
    command = late(runner, await runner.create())
    await failing(runner, command, outage, 3 * MOST_ATTEMPTS)
    assert await runner.owner.fetchval(FAILED, command.command_id) == 0
    assert (await runner.send(command)).status == 200


async def test_attempts_of_workers_that_died_at_it_are_counted(runner: Runner) -> None:
    class Death(BaseException):
        """A worker dies and tells nobody."""

    command = late(runner, await runner.create())
    for _ in range(MOST_ATTEMPTS):
        with patch(DECIDE, raising(Death())), pytest.raises(Death):  # type: ignore[arg-type]
            await runner.send(command)
    await refused(runner, command)


async def test_a_command_that_takes_too_long_under_its_own_lock_is_given_up(
    runner: Runner,
) -> None:
    command = late(runner, await runner.create())
    with patch(DECIDE, raising(TimeoutError())):
        for _ in range(MOST_ATTEMPTS):
            with pytest.raises(Exception, match=r"ticket\.triage"):
                await runner.send(command)
    await refused(runner, command)


async def test_a_ticket_that_cannot_be_shown_blocks_nobody(runner: Runner) -> None:
    command = late(runner, await runner.create())
    with patch.object(TicketAggregate, "_outcome", raising(DefectError())):
        for _ in range(MOST_ATTEMPTS):
            with pytest.raises(DefectError):
                await runner.send(command)
        await refused(runner, command)


async def test_a_forged_command_that_cannot_even_be_recorded_is_dropped(runner: Runner) -> None:
    command = runner.command("ticket.triage", TRIAGE, await runner.create())
    unsigned = runner.signed(command).model_copy(update={"mac": ""})
    with (
        patch.object(TicketAggregate, "_outcome", raising(DefectError())),
        patch("activities.command.transaction.attempt_number", lambda: MOST_ATTEMPTS),
    ):
        outcome = await runner.activities().execute_command(unsigned)
    assert (outcome.code, outcome.ticket) == ("INVALID_AUTH_TOKEN", None)


async def test_a_command_that_is_decided_at_once_is_not_counted(runner: Runner) -> None:
    await runner.scheduled()
    assert await runner.owner.fetchval(ROWS) == 0


async def test_attempts_at_a_command_that_was_decided_after_all_are_forgotten(
    runner: Runner,
) -> None:
    command = late(runner, await runner.create())
    await failing(runner, command, DefectError(), 2)
    assert (await runner.send(command)).status == 200
    kept = late(runner, await runner.create())
    await failing(runner, kept, DefectError(), 1)
    await runner.owner.execute("SELECT forget_attempts()")
    rows = await runner.owner.fetch("SELECT command_id FROM command_attempts")
    assert [row["command_id"] for row in rows] == [kept.command_id]


async def test_no_tenant_reads_the_attempts_of_another(runner: Runner, pool: Pool) -> None:
    await failing(runner, late(runner, await runner.create()), DefectError(), 1)
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.fetchval(ROWS)
        given_up = await conn.fetch("SELECT * FROM given_up_commands($1, NULL)", timedelta(days=1))
    assert given_up == []


async def test_a_look_at_a_ticket_that_fails_by_a_defect_holds_up_no_command_for_ever(
    runner: Runner,
) -> None:
    fired = TimerFired(tenant_id="default", ticket_id=await runner.create())
    activities = runner.activities()
    with patch(RING, raising(DefectError())):
        with pytest.raises(DefectError):
            await activities.escalate(fired)
        with patch(ATTEMPT, lambda: MOST_ATTEMPTS):
            assert await activities.escalate(fired) is None
    with (
        patch(RING, raising(OSError())),
        patch(ATTEMPT, lambda: 10 * MOST_ATTEMPTS),
        pytest.raises(OSError),  # noqa: PT011  an outage
    ):
        await activities.escalate(fired)
