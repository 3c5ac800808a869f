"""The sweep in Postgres: what a lost timer leaves behind is found, once, and told."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.ticket.deadlines.sweep import PostgresSweepActivities
from contracts.command import CLOCK_CHANGED
from contracts.deadlines import SweepStart, SweptDeadlines
from policy.command.message import Subject
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

OVERDUE = """
UPDATE ticket_deadlines SET due_at = now() - $2::interval, known_at = now() - interval '1 day'
 WHERE ticket_id = $1
"""
AGE = "UPDATE tickets SET created_at = created_at - interval '25 hours' WHERE id = $1"
DETECTORS = "SELECT details->>'detector' FROM ticket_escalations WHERE ticket_id = $1"


class Signals:
    """Stands for the engine; the workflows of `gone` have ended."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.gone: set[str] = set()

    def get_workflow_handle(self, name: str) -> Any:  # noqa: ANN401  as much of a handle as it takes
        """Return what takes a signal for a workflow."""
        signals = self

        class Handle:
            async def signal(self, signal: str) -> None:
                if name in signals.gone:
                    raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
                signals.sent.append((name, signal))

        return Handle()


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def sweep(runner: Runner, signals: Signals) -> PostgresSweepActivities:
    return PostgresSweepActivities(runner.pool, runner.bundle, cast("Client", signals))


async def late_ticket(runner: Runner, late: timedelta = timedelta(hours=1)) -> UUID:
    """Return a ticket that is past its target, whose timer did not ring."""
    ticket = await runner.create()
    await runner.owner.execute(AGE, ticket)
    await runner.owner.execute(OVERDUE, ticket, late)
    return ticket


async def test_a_lost_timer_is_found_and_its_ticket_escalated_once(
    runner: Runner, signals: Signals, sweep: PostgresSweepActivities
) -> None:
    ticket = await late_ticket(runner)
    assert await sweep.sweep() == SweptDeadlines(found=1, seen_to=2)
    assert await sweep.sweep() == SweptDeadlines()
    rows = await runner.rows(DETECTORS, ticket)
    assert [row["?column?"] for row in rows] == ["sweep", "sweep"]
    assert signals.sent == [(Subject.of_ticket("default", ticket).workflow_id, CLOCK_CHANGED)]


async def test_the_record_of_an_escalation_keeps_the_level_of_the_log_beside_its_own(
    runner: Runner, sweep: PostgresSweepActivities
) -> None:
    ticket = await late_ticket(runner)
    with structlog.testing.capture_logs() as records:
        await sweep.sweep()
    told = [each for each in records if each["event"] == "ticket.escalated"]
    assert [each["escalation_level"] for each in told] == [1, 2]
    assert {(each["ticket_id"], each["log_level"], each.get("level")) for each in told} == {
        (str(ticket), "warning", None)
    }


async def test_a_timer_has_its_time_before_the_sweep_looks(
    runner: Runner, sweep: PostgresSweepActivities
) -> None:
    await late_ticket(runner, timedelta(seconds=1))
    assert await sweep.sweep() == SweptDeadlines()
    assert await count(runner.owner, "ticket_escalations") == 0


async def test_a_deadline_that_moved_away_is_looked_at_and_nothing_raised(
    runner: Runner, signals: Signals, sweep: PostgresSweepActivities
) -> None:
    ticket = await runner.create()
    await runner.owner.execute(OVERDUE, ticket, timedelta(hours=1))
    assert await sweep.sweep() == SweptDeadlines(found=1, seen_to=0)
    assert await sweep.sweep() == SweptDeadlines()
    assert signals.sent == []


async def test_an_expired_hold_is_rolled_back_by_the_sweep_too(runner: Runner) -> None:
    runner.bundle = runner.bundle.model_copy(
        update={"holds": runner.bundle.holds.model_copy(update={"expiry_grace_seconds": 0})}
    )
    ticket = await runner.scheduled()
    window = {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T10:00:00Z"}
    asked = {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": window}
    await runner.done("schedule.hold", asked, ticket)
    await runner.owner.execute(OVERDUE, ticket, timedelta(hours=1))
    zero_grace = PostgresSweepActivities(runner.pool, runner.bundle, cast("Client", Signals()))
    assert await zero_grace.sweep() == SweptDeadlines(found=1, seen_to=1)
    state = await runner.owner.fetchval("SELECT state::text FROM tickets WHERE id = $1", ticket)
    assert state == "SCHEDULED"


async def test_a_ticket_whose_workflow_has_ended_is_escalated_all_the_same(
    runner: Runner, signals: Signals, sweep: PostgresSweepActivities
) -> None:
    ticket = await late_ticket(runner)
    signals.gone.add(Subject.of_ticket("default", ticket).workflow_id)
    assert await sweep.sweep() == SweptDeadlines(found=1, seen_to=2)


async def test_the_report_tells_how_late_timers_fired(
    runner: Runner, sweep: PostgresSweepActivities
) -> None:
    report = await sweep.measure(SweptDeadlines(), SweepStart())
    assert (report.fired, report.p99_ms) == (0, None)
    await late_ticket(runner)
    swept = await sweep.sweep()
    report = await sweep.measure(swept, SweepStart())
    assert (report.found, report.seen_to, report.fired) == (1, 2, 0)  # no timer did it
