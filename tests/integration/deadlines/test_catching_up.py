"""A timer that rings late sees to all that are overdue, each once."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from activities.ticket.commands import PostgresTicketActivities
from activities.ticket.deadlines.catching_up import ALONE, CatchingUp
from contracts.ticket import TimerFired
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import KEY, Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

AGE = "UPDATE tickets SET created_at = created_at - interval '25 hours' WHERE id = $1"
OVERDUE = """
UPDATE ticket_deadlines SET due_at = now() - $2::interval, known_at = now() - interval '1 day'
 WHERE ticket_id = $1
"""
BY_DETECTOR = """
SELECT details->>'detector' AS detector, count(*) AS raised FROM ticket_escalations GROUP BY 1
"""
LATE = timedelta(minutes=1)


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def overdue_tickets(runner: Runner, count: int, late: timedelta = LATE) -> list[UUID]:
    """Return tickets past their targets whose timers have not rung yet."""
    tickets = [await runner.create() for _ in range(count)]
    for ticket in tickets:
        await runner.owner.execute(AGE, ticket)
        await runner.owner.execute(OVERDUE, ticket, late)
    return tickets


async def raised(runner: Runner) -> dict[str, int]:
    return {row["detector"]: row["raised"] for row in await runner.owner.fetch(BY_DETECTOR)}


async def test_the_first_late_timer_sees_to_all_and_the_others_find_it_done(
    runner: Runner,
) -> None:
    tickets = await overdue_tickets(runner, 7)
    activities = PostgresTicketActivities(runner.pool, runner.bundle, KEY, runner.memory)
    rings = [TimerFired(tenant_id="default", ticket_id=ticket) for ticket in tickets]
    first = await activities.escalate(rings[0])
    assert first is not None
    assert first.escalation_level == 2
    assert await raised(runner) == {"timer": 2, "catch_up": 12}
    for late in await asyncio.gather(*map(activities.escalate, rings[1:])):
        assert late is not None
        assert late.escalation_level == 2
    assert await raised(runner) == {"timer": 2, "catch_up": 12}


async def test_a_timer_on_time_sees_to_its_own_ticket_only(runner: Runner) -> None:
    mine, *_ = await overdue_tickets(runner, 1, timedelta(0))
    await overdue_tickets(runner, 2)
    await runner.owner.execute(
        "UPDATE ticket_deadlines SET known_at = now() WHERE ticket_id = $1", mine
    )
    activities = PostgresTicketActivities(runner.pool, runner.bundle, KEY, runner.memory)
    await activities.escalate(TimerFired(tenant_id="default", ticket_id=mine))
    assert await raised(runner) == {"timer": 2}


async def test_only_one_catches_up_at_a_time(runner: Runner) -> None:
    await overdue_tickets(runner, 2)
    async with runner.pool.acquire() as other, other.transaction():
        assert await other.fetchval(ALONE)
        assert await CatchingUp(runner.pool, runner.bundle).run() == 0
    assert await raised(runner) == {}
    here = CatchingUp(runner.pool, runner.bundle)
    assert list(await asyncio.gather(here.run(), here.run())) == [4, 4]  # the same run
    await here.over()
    assert await here.run() == 0


async def test_a_ticket_that_fails_keeps_nobody_else_waiting(
    runner: Runner, owner: Connection
) -> None:
    broken, *others = await overdue_tickets(runner, 3)
    await owner.execute(
        f"ALTER TABLE ticket_escalations ADD CONSTRAINT broken CHECK (ticket_id <> '{broken}')"
    )
    assert await CatchingUp(runner.pool, runner.bundle).run() == 2 * len(others)
