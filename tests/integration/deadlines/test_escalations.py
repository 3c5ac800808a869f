"""Escalations in Postgres: each step once, its messages with it, and the tools that quiet them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.ticket.commands import PostgresTicketActivities
from activities.ticket.deadlines.ring import Rung, ring
from contracts.ticket import TimerFired
from policy.rules.bundle import Bundle, load_bundle
from policy.values import format_datetime
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import KEY, Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

HOUR = timedelta(hours=1)
PHONE = "+15550001"
AGE = "UPDATE tickets SET created_at = created_at - $2::interval WHERE id = $1"
REST = """
UPDATE ticket_state_transitions SET created_at = created_at - $2::interval WHERE ticket_id = $1
"""
STEPS = """
SELECT kind, level, due_at, raised_at, acknowledged_by, details FROM ticket_escalations
 WHERE ticket_id = $1 ORDER BY due_at, level
"""
MESSAGES = "SELECT * FROM dispatch_outbox WHERE event_type LIKE 'ticket.escalation.%' ORDER BY id"
NEXT = "SELECT due_at FROM ticket_deadlines WHERE ticket_id = $1"
AUDIT = "SELECT count(*) FROM audit_events WHERE ticket_id = $1"


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


def telling(*roles: str, **ladders: dict[str, Any]) -> Bundle:
    """Return the shipped bundle with a phone for these roles, and rules of ladders replaced."""
    shipped = load_bundle().escalation.model_dump(mode="json")
    for kind, rules in ladders.items():
        shipped["ladders"][kind] |= rules
    recipients = {role: {"sms": [PHONE]} for role in roles}
    return load_bundle({"escalation": shipped | {"recipients": recipients}})


async def rung(runner: Runner, ticket: UUID, detector: str = "timer") -> Rung:
    fired = TimerFired(tenant_id="default", ticket_id=ticket)
    async with runner.pool.acquire() as conn, conn.transaction():
        found = await ring(conn, runner.bundle, fired, detector)
    assert found is not None
    return found


async def levels(runner: Runner, ticket: UUID) -> list[tuple[str, int]]:
    return [(row["kind"], row["level"]) for row in await runner.rows(STEPS, ticket)]


async def next_look(runner: Runner, ticket: UUID) -> datetime | None:
    at: datetime | None = await runner.owner.fetchval(NEXT, ticket)
    return at


async def moved_back(runner: Runner, ticket: UUID, span: timedelta) -> None:
    """Let the ticket have rested for longer; history may not be changed otherwise."""
    await runner.owner.execute("SET session_replication_role = replica")
    await runner.owner.execute(REST, ticket, span)
    await runner.owner.execute("SET session_replication_role = origin")


async def overdue(runner: Runner) -> UUID:
    """Return a new ticket, ten minutes past its target."""
    ticket = await runner.create()
    await runner.owner.execute(AGE, ticket, 24 * HOUR + HOUR / 6)
    return ticket


async def waiting_for_approval(runner: Runner, span: timedelta) -> UUID:
    """Return a ticket that has waited so long for an approval."""
    ticket = await runner.in_progress()
    asked = {"approval_type": "PROPOSAL", "reason": "A new strike is needed"}
    await runner.done("tech.request_change", asked, ticket)
    await moved_back(runner, ticket, span)
    return ticket


async def test_each_step_is_raised_once_without_a_trace_in_the_audit(runner: Runner) -> None:
    ticket = await overdue(runner)
    before = await runner.owner.fetchval(AUDIT, ticket)
    assert (await rung(runner, ticket)).seen_to == 2
    assert (await rung(runner, ticket, "sweep")).seen_to == 0
    assert await levels(runner, ticket) == [("sla_warning", 1), ("sla_breach", 2)]
    assert await runner.owner.fetchval(AUDIT, ticket) == before
    assert await runner.owner.fetchval("SELECT version FROM tickets WHERE id = $1", ticket) == 0
    assert await count(runner.owner, "dispatch_outbox") == 0  # nobody is configured


async def test_a_look_says_exactly_when_to_look_again(runner: Runner) -> None:
    ticket = await runner.create()
    created: datetime = await runner.owner.fetchval(
        "SELECT created_at FROM tickets WHERE id = $1", ticket
    )
    first = await next_look(runner, ticket)
    assert first is not None
    assert timedelta(0) < created + 24 * HOUR - timedelta(minutes=45) - first <= HOUR / 60
    await runner.owner.execute(AGE, ticket, 24 * HOUR + HOUR / 6)
    view = (await rung(runner, ticket)).ticket
    assert (view.escalation_level, view.due_for) == (2, "sla_double_breach")
    assert await next_look(runner, ticket) == view.due_at


async def test_commands_only_bring_the_next_look_forward(runner: Runner) -> None:
    ticket = await runner.create()
    before = await next_look(runner, ticket)
    urgent = {"priority": "EMERGENCY", "incident_type": "DOOR_WONT_LATCH"}
    await runner.done("ticket.triage", urgent, ticket)
    nearer = await next_look(runner, ticket)
    assert before is not None
    assert nearer is not None
    assert before - nearer > 20 * HOUR
    await runner.done("ticket.request_info", {"questions": ["Which door?"]}, ticket)
    await runner.done("ticket.triage", {**urgent, "priority": "ROUTINE"}, ticket)
    assert await next_look(runner, ticket) == nearer
    assert (await rung(runner, ticket)).seen_to == 0
    assert await next_look(runner, ticket) == before
    await runner.done("ticket.cancel", {"reason": "Not needed"}, ticket)
    assert await next_look(runner, ticket) is None


async def test_a_step_that_is_overdue_by_a_new_priority_is_raised_at_once(runner: Runner) -> None:
    ticket = await runner.create()
    calm = {"priority": "ROUTINE", "incident_type": "DOOR_WONT_LATCH"}
    await runner.done("ticket.triage", calm, ticket)
    await runner.owner.execute(AGE, ticket, 12 * HOUR)
    assert (await rung(runner, ticket)).seen_to == 0

    urgent = {"priority": "EMERGENCY", "reason": "The door stands open"}
    answer = await runner.run("ticket.reclassify", urgent, ticket)

    at = await next_look(runner, ticket)
    assert at is not None
    assert at <= await runner.owner.fetchval("SELECT clock_timestamp()")
    assert (await rung(runner, ticket)).seen_to > 0
    assert ("sla_breach", 2) in await levels(runner, ticket)
    assert answer.body["escalation_level"] >= 2
    audit = (await runner.audit(answer.command_id))["payload"]
    assert (audit["previous_priority"], audit["priority"]) == ("ROUTINE", "EMERGENCY")


async def test_the_end_of_a_hold_is_the_next_look(runner: Runner) -> None:
    ticket = await runner.scheduled()
    window = {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T10:00:00Z"}
    asked = {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": window}
    await runner.done("schedule.hold", asked, ticket)
    held_at = await runner.owner.fetchval("SELECT max(created_at) FROM schedule_hold_snapshots")
    at = await next_look(runner, ticket)
    assert at is not None
    assert abs(at - held_at - HOUR / 4) < timedelta(seconds=1)


async def test_the_messages_of_a_step_are_written_with_it(runner: Runner) -> None:
    runner.bundle = telling("dispatcher")
    ticket = await overdue(runner)
    await rung(runner, ticket)
    await rung(runner, ticket)
    rows = await runner.rows(MESSAGES)
    assert sorted(row["payload"]["payload"]["kind"] for row in rows) == [
        "sla_breach",
        "sla_warning",
    ]
    for row in rows:
        assert (row["event_type"], row["status"]) == ("ticket.escalation.sms", "PENDING")
        assert (row["payload"]["channel"], row["payload"]["to"]) == ("SMS", PHONE)
        assert row["aggregate_id"] == str(ticket)


async def test_a_message_waits_for_the_end_of_the_quiet_hours_of_the_site(runner: Runner) -> None:
    runner.bundle = telling("dispatcher")
    zone = "UPDATE sites SET timezone = $1"
    now: datetime = await runner.owner.fetchval("SELECT now()")
    east = (24 - now.hour) % 24  # so that it is past midnight there
    await runner.owner.execute(zone, f"Etc/GMT{-east if east <= 12 else 24 - east:+d}")
    ticket = await overdue(runner)
    await rung(runner, ticket)
    waits = {
        row["payload"]["payload"]["kind"]: row["next_attempt_at"] - now
        for row in await runner.rows(MESSAGES)
    }
    assert waits["sla_breach"] < HOUR / 60
    assert 6 * HOUR < waits["sla_warning"] <= 7 * HOUR


async def test_an_acknowledged_step_repeats_no_more(runner: Runner) -> None:
    ticket = await waiting_for_approval(runner, 5 * HOUR)
    other = await waiting_for_approval(runner, 5 * HOUR)
    for each in (ticket, other):
        await rung(runner, each)
    body = await runner.done("escalation.acknowledge", {"note": "Calling them"}, ticket)
    assert [each["kind"] for each in body["escalations"]] == ["approval_reminder"]
    (row,) = await runner.rows(STEPS, ticket)
    assert row["acknowledged_by"] == "the-dispatcher"
    assert '"note": "Calling them"' in row["details"]
    for each in (ticket, other):
        await moved_back(runner, each, 4 * HOUR)
    # The rest began earlier now, so the steps are others; the acknowledged one is put in its place.
    await runner.owner.execute("UPDATE ticket_escalations SET due_at = due_at - interval '4 hours'")
    for each in (ticket, other):
        await rung(runner, each)
    assert await levels(runner, ticket) == [("approval_reminder", 1)]
    assert await levels(runner, other) == [("approval_reminder", 1)] * 2


async def test_a_snoozed_step_comes_when_the_snooze_is_over(runner: Runner) -> None:
    ticket = await overdue(runner)
    until = await runner.owner.fetchval(
        "SELECT date_trunc('milliseconds', clock_timestamp()) + interval '1 second'"
    )
    command = runner.command("escalation.snooze", {"until": format_datetime(until)}, ticket)
    assert (await runner.send(command)).status == 200
    assert await next_look(runner, ticket) is not None
    view = (await rung(runner, ticket)).ticket
    assert (view.due_at, view.due_for, await levels(runner, ticket)) == (until, "sla_warning", [])

    await runner.owner.execute(
        "UPDATE ticket_snoozes SET snoozed_until = clock_timestamp() - interval '1 ms'"
    )
    await rung(runner, ticket)
    assert await levels(runner, ticket) == [("sla_warning", 1), ("sla_breach", 2)]


async def test_the_workflow_is_told_to_look_when_a_snooze_is_over(runner: Runner) -> None:
    ticket = await runner.create()
    until = await runner.owner.fetchval("SELECT date_trunc('milliseconds', now()) + '1 minute'")
    asked = {"until": format_datetime(until)}
    command = runner.command("escalation.snooze", asked, ticket)
    activities = PostgresTicketActivities(runner.pool, runner.bundle, KEY, runner.memory)
    before = await runner.owner.fetchval(AUDIT, ticket)
    outcome = await activities.execute_command(runner.signed(command))
    assert outcome.ticket is not None
    assert (outcome.ticket.due_at, outcome.ticket.version) == (until, 0)
    assert await next_look(runner, ticket) == until
    assert await runner.owner.fetchval(AUDIT, ticket) == before + 1


async def test_how_late_a_step_was_raised_counts_from_when_it_could_be(runner: Runner) -> None:
    ticket = await overdue(runner)  # ten minutes late, but known only now
    seconds = "UPDATE ticket_deadlines SET known_at = clock_timestamp() - interval '3 seconds'"
    await runner.owner.execute(seconds)
    await rung(runner, ticket)
    late = await runner.pool.fetchrow("SELECT * FROM timer_lateness(interval '1 minute')")
    assert late is not None
    assert late["fired"] == 2
    assert 2900 <= late["p50_ms"] <= late["p99_ms"] <= late["max_ms"] < 20_000


async def test_an_escalation_of_another_tenant_cannot_be_acknowledged(runner: Runner) -> None:
    ticket = await overdue(runner)
    await rung(runner, ticket)
    asked = {"escalation_id": str(uuid4())}
    answer = await runner.run("escalation.acknowledge", asked, ticket)
    assert (answer.status, answer.code) == (404, "ESCALATION_NOT_FOUND")
