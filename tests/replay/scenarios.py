"""What is recorded: one scenario for every path through the ticket workflow."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID, uuid4

import httpx

from cli.scenario.lifecycle import LIFECYCLE
from cli.scenario.walk import Walk
from contracts.command import CLOCK_CHANGED, SignedCommand
from contracts.deadlines import DEADLINE_SWEEP
from contracts.standing import INTERVAL_CHANGED, standing_id
from contracts.ticket import new_ticket_id
from policy.command.message import Command
from policy.model import Actor, ActorType, Role
from policy.rules.bundle import load_bundle
from policy.values import format_datetime
from tests.integration.servers.gateway import TestGateway
from tests.lifecycle import names_of
from tests.polling import eventually
from tests.replay.recording import Recording

CONFLICT = 409
EVENTS_PER_COMMAND = 5
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
LONG_TEXT = "The door springs open when the wind blows. " * 200
GATE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
KEY_OF = "SELECT request_id FROM command_log WHERE command_id = $1"
AGE = "UPDATE tickets SET created_at = created_at - interval '2 days' WHERE id = $1"
STRANGER = Actor(actor_id="stranger", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN)


async def canonical(on: Recording) -> str:
    """Walk from creation to closure, with a refused completion on the way."""
    async with httpx.AsyncClient(base_url=on.gateway.url, timeout=30) as http:
        walk = Walk(http, load_bundle(), TestGateway.as_role, LIFECYCLE, names_of(on.gateway))
        visits = [visit async for visit in walk.steps()]
    assert all(visit.as_planned for visit in visits)
    return await on.over(walk.ticket_id)


async def cancel(on: Recording) -> str:
    """End early."""
    return await on.cancelled(on.gateway.ready_ticket())


async def denials(on: Recording) -> str:
    """Be denied for the state, a wrong payload of the engine's own and a second decision."""
    ticket = on.gateway.new_ticket()
    for tool, body, role in (
        ("tech/check-in", {"timestamp": "2026-11-21T10:00:00Z"}, "technician"),
        ("qa/verify", {"timestamp": "2026-11-21T10:00:00Z", "result": "PASS"}, "qa"),
        ("close", {}, "finance"),
    ):
        assert on.gateway.post(f"/tickets/{ticket}/{tool}", body, role).status_code == CONFLICT
    return await on.cancelled(ticket)


async def refused_creation(on: Recording) -> str:
    """Create nothing: the account does not exist."""
    nowhere = {"account_id": str(uuid4()), "site_id": on.gateway.site_id, "summary": "Door"}
    answer = on.gateway.post("/tickets", nowhere)
    assert answer.json()["error"]["code"] == "ACCOUNT_NOT_FOUND"
    async with on.gateway.owner() as conn:
        command = UUID(answer.headers["X-Command-Id"])
        key = await conn.fetchval(KEY_OF, command)
    dispatcher = Actor(
        actor_id="dispatcher-1", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN
    )
    return await on.over(str(new_ticket_id(dispatcher, "/tickets", key)))


async def emergency_bypass(on: Recording) -> str:
    """Send a technician straight out of TRIAGED."""
    ticket = on.gateway.new_ticket()
    on.gateway.done(f"/tickets/{ticket}/triage", {**TRIAGE, "priority": "EMERGENCY"})
    bypass = {
        "tech_id": on.gateway.tech_id,
        "dispatch_mode": "EMERGENCY_BYPASS",
        "dispatch_rationale": "The door stands open.",
        "dispatch_confirmation": True,
    }
    on.gateway.done(f"/tickets/{ticket}/assignment/dispatch", bypass)
    return await on.cancelled(ticket)


async def slow_database(on: Recording) -> str:
    """Fall back from the local to the regular activity."""
    ticket = on.gateway.new_ticket()
    path, headers = f"/tickets/{ticket}/triage", TestGateway.as_role("dispatcher")
    async with httpx.AsyncClient(base_url=on.gateway.url, timeout=30) as http:
        async with on.gateway.owner() as conn, conn.transaction():
            await conn.execute(GATE, ticket)
            key = {"Idempotency-Key": str(uuid4())}
            waiting = asyncio.create_task(http.post(path, json=TRIAGE, headers=headers | key))
            await on.saw(ticket, "activity_task_scheduled_event_attributes")
        assert (await waiting).is_success
    return await on.cancelled(ticket)


async def escalation(on: Recording) -> str:
    """Let the timer ring for deadlines that have passed."""
    ticket = on.overdue_ticket()
    await on.escalated(ticket)
    return await on.cancelled(ticket)


async def ladder_answered(on: Recording) -> str:
    """Let it ring, and have what was raised acknowledged and the rest snoozed."""
    ticket = on.overdue_ticket()
    await on.escalated(ticket)
    on.gateway.done(f"/tickets/{ticket}/escalations/acknowledge", {})
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    on.gateway.done(f"/tickets/{ticket}/escalations/snooze", {"until": until})
    return await on.cancelled(ticket)


async def clock_changed(on: Recording) -> str:
    """Be told that the hours have changed, and look what is due."""
    ticket = on.gateway.ready_ticket()
    commands = 2
    await on.saw(ticket, "marker_recorded_event_attributes", commands)
    await on.signal(ticket, CLOCK_CHANGED)
    await on.saw(ticket, "marker_recorded_event_attributes", commands + 2)  # with that of the patch
    return await on.cancelled(ticket)


async def slow_look(on: Recording) -> str:
    """Look what is due while the database is slow: fall back to the regular activity."""
    ticket = on.gateway.new_ticket()
    async with on.gateway.owner() as conn, conn.transaction():
        await conn.execute(GATE, ticket)
        await on.signal(ticket, CLOCK_CHANGED)
        await on.saw(ticket, "activity_task_scheduled_event_attributes")
    await on.saw(ticket, "activity_task_completed_event_attributes")
    return await on.cancelled(ticket)


async def hold_and_release(on: Recording) -> str:
    """Wait for the customer, who confirms."""
    ticket = on.gateway.scheduled_ticket()
    hold = {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": TestGateway.window(1)}
    held = on.gateway.done(f"/tickets/{ticket}/schedule/hold", hold)
    confirmed = {"customer_confirmation_id": held["hold_id"]}
    on.gateway.done(f"/tickets/{ticket}/schedule/release", confirmed)
    return await on.cancelled(ticket)


async def hold_expiry(on: Recording) -> str:
    """Wait for the customer in vain: the timer rolls the hold back."""
    ticket = on.gateway.scheduled_ticket()
    hold = {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": TestGateway.window(-24)}
    on.gateway.done(f"/tickets/{ticket}/schedule/hold", hold)

    async def is_rolled_back() -> bool:
        return bool(on.gateway.get(f"/tickets/{ticket}").json()["state"] == "SCHEDULED")

    await eventually(is_rolled_back, within=30, what="the end of the hold")
    return await on.cancelled(ticket)


async def long_conversation(on: Recording) -> str:
    """Continue as new, and go on."""
    ticket = on.gateway.new_ticket()
    for number in range(on.suggest_after_events // EVENTS_PER_COMMAND + 1):
        note = {"kind": "NOTE", "uri": f"s3://evidence/{number}"}
        on.gateway.done(f"/tickets/{ticket}/evidence", note)
    return await on.cancelled(ticket)


async def late_command(on: Recording) -> str:
    """Be asked for something after the end."""
    ticket = on.gateway.new_ticket()
    await on.cancelled(ticket)
    assert on.gateway.post(f"/tickets/{ticket}/triage", TRIAGE).status_code == CONFLICT
    return await on.over(ticket)


async def adoption(on: Recording) -> str:
    """Look after a ticket that had no workflow, and whose deadlines had passed."""
    ticket = on.gateway.ready_ticket()
    await on.handle(ticket).terminate("as if it had never run")
    async with on.gateway.owner() as conn:
        await conn.execute(AGE, UUID(ticket))
    on.gateway.done(f"/tickets/{ticket}/evidence", {"kind": "NOTE", "uri": "s3://evidence/1"})
    await on.escalated(ticket)
    return await on.cancelled(ticket)


async def forgeries(on: Recording) -> str:
    """Refuse what did not come through the gateway."""
    ticket, other = on.gateway.new_ticket(), uuid4()
    claim = Command(
        command_id=uuid4(),
        tool="ticket.cancel",
        endpoint="/tickets/{ticketId}/cancel",
        actor=STRANGER,
        ticket_id=UUID(ticket),
        request_id=str(uuid4()),
        request_hash="",
        payload={"reason": "no reason"},
        correlation_id="forged",
        submitted_at=datetime.now(UTC),
    )
    misdirected = claim.model_copy(update={"ticket_id": other})
    await on.signal(ticket, "ticket.cancel", SignedCommand(command=claim))
    await on.signal(ticket, "ticket.triage", SignedCommand(command=claim, mac="0" * 64))
    await on.signal(ticket, "ticket.cancel", SignedCommand(command=misdirected))
    unreadable: tuple[tuple[object, ...], ...] = ((), (b"\x00",), ({"command": {}},))
    for arguments in unreadable:
        await on.signal(ticket, "no.such.tool", *arguments)
    return await on.cancelled(ticket)


async def large_payload(on: Recording) -> str:
    """Keep a large payload out of the history."""
    return await on.cancelled(on.gateway.new_ticket(description=LONG_TEXT))


async def operator_cancels(on: Recording) -> str:
    """Have the workflow cancelled while commands wait: they are executed before it ends."""
    ticket = on.gateway.new_ticket()
    path, headers = f"/tickets/{ticket}/evidence", TestGateway.as_role("dispatcher")
    note = {"kind": "NOTE", "uri": "s3://evidence/1"}
    async with httpx.AsyncClient(base_url=on.gateway.url, timeout=30) as http:
        async with on.gateway.owner() as conn, conn.transaction():
            await conn.execute(GATE, ticket)
            waiting = [
                asyncio.create_task(
                    http.post(path, json=note, headers={**headers, "Idempotency-Key": str(uuid4())})
                )
                for _ in range(3)
            ]
            await on.saw(ticket, "activity_task_scheduled_event_attributes")
            await on.handle(ticket).cancel()
            await on.saw(ticket, "workflow_execution_cancel_requested_event_attributes")
        assert all(answer.is_success for answer in await asyncio.gather(*waiting))
    await on.saw(ticket, "workflow_execution_canceled_event_attributes")
    return await on.cancelled(ticket)


async def without_a_ticket(on: Recording) -> str:
    """Serve a tool that is about no ticket."""
    on.gateway.done("/ops/autonomy/pause", {"reason": "for a moment"})
    on.gateway.done("/ops/autonomy/rollback", {})
    return await on.over(None)


async def standing_sweep(on: Recording) -> str:
    """Let the sweep of deadlines go round until it continues as new."""
    name = standing_id(DEADLINE_SWEEP)
    sweep = on.client.get_workflow_handle(name)
    first = (await sweep.describe()).run_id

    async def is_another_run() -> bool:
        return (await sweep.describe()).run_id != first

    await sweep.signal(INTERVAL_CHANGED, 1)
    await eventually(is_another_run, within=60, what="another run of the sweep")
    await sweep.signal(INTERVAL_CHANGED, 3600)
    return name


SCENARIOS: Mapping[str, Callable[[Recording], Awaitable[str]]] = MappingProxyType(
    {
        scenario.__name__: scenario
        for scenario in (
            canonical,
            cancel,
            denials,
            refused_creation,
            emergency_bypass,
            slow_database,
            escalation,
            ladder_answered,
            clock_changed,
            slow_look,
            hold_and_release,
            hold_expiry,
            long_conversation,
            late_command,
            adoption,
            forgeries,
            large_payload,
            operator_cancels,
            without_a_ticket,
            standing_sweep,
        )
    }
)
