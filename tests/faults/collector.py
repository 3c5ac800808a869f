"""Collects the evidence of a run from Postgres and Temporal when everything has come to rest."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts.command import CLOCK_CHANGED, SignedCommand
from policy.command.message import Subject
from policy.rules.bundle import load_bundle
from records.audit.verification import Verification
from runtime.postgres.pool import Connection
from tests.faults.laboratory import Lab
from tests.faults.load.evidence import Call, Decision, Event, Evidence, Run
from tests.polling import eventually

REST_SECONDS = 90.0
FETCHED_AT_ONCE = 8
TENANT = "default"
HARMLESS = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
}
"""A signal came while the run ended, a worker left, it was reset: the task is done again."""
STRUCK = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
}
LATE = timedelta(seconds=30)
EVENTS = """
SELECT e.ticket_id::text AS ticket, e.seq, e.hash, e.prev_hash, e.command_id::text AS command,
       e.before_state::text AS before, e.after_state::text AS after, c.response_body AS body
  FROM audit_events e LEFT JOIN command_log c ON c.command_id = e.command_id
 WHERE e.ticket_id = ANY ($1)
"""
DECISIONS = """
SELECT command_id::text AS command, actor_id AS actor, tool_name AS tool, request_id::text AS key,
       decision, code, response_text AS text
  FROM command_log
 WHERE actor_type IS DISTINCT FROM 'SYSTEM' AND (ticket_id = ANY ($1) OR request_id = ANY ($2))
"""
PROMISES = """
SELECT p.command_id::text FROM command_promises p LEFT JOIN command_log c USING (command_id)
 WHERE c.decided_at IS NULL
"""
OPEN = """
SELECT count(*) FROM command_log WHERE decided_at IS NULL AND command_id::text = ANY ($1)
"""
# A hold that expired, a visit of days ago whose breach nobody was told, a look that was not taken.
OVERDUE = """
SELECT t.id::text FROM tickets t
 WHERE t.id = ANY ($2) AND t.state = 'PENDING_CUSTOMER_CONFIRMATION' AND now() - $1::interval >
       (SELECT (hold_reason_notes::jsonb->'confirmation_window'->>'end')::timestamptz
          FROM schedule_hold_snapshots h WHERE h.ticket_id = t.id
         ORDER BY h.created_at DESC, h.id DESC LIMIT 1)
 UNION
SELECT t.id::text FROM tickets t
 WHERE t.id = ANY ($2) AND t.state NOT IN ('CLOSED', 'CANCELLED')
   AND t.scheduled_start < now() - interval '25 hours'
   AND NOT EXISTS (SELECT FROM audit_events e
                    WHERE e.ticket_id = t.id AND e.created_at > now() - $1::interval)
   AND NOT EXISTS (SELECT FROM ticket_escalations e
                    WHERE e.ticket_id = t.id AND e.kind = 'sla_breach')
 UNION
SELECT d.ticket_id::text FROM ticket_deadlines d
 WHERE d.ticket_id = ANY ($2) AND d.due_at < now() - $1::interval
"""
ESCALATIONS = "SELECT count(*) FROM ticket_escalations WHERE ticket_id = ANY ($1)"
DOUBLE_ESCALATIONS = """
SELECT ticket_id || ' ' || kind FROM ticket_escalations WHERE ticket_id = ANY ($1)
 GROUP BY ticket_id, kind, level, due_at HAVING count(*) > 1
"""
STATES = "SELECT id::text, state::text, version FROM tickets WHERE id = ANY ($1)"


async def collect(
    lab: Lab, calls: Sequence[Call], patience_seconds: float = REST_SECONDS
) -> Evidence:
    """Wait until nothing moves any more and return all there is to know of the calls' tickets."""
    accepted = sorted({call.command for call in calls if call.command and call.status == 202})
    tickets = sorted({UUID(call.ticket) for call in calls if call.ticket})
    keys = sorted({UUID(call.key) for call in calls if call.key})
    conn = await asyncpg.connect(lab.owner_url)
    try:
        await conn.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text"
        )
        await _at_rest(conn, tickets, accepted, patience_seconds)
        states = {row[0]: (row[1], row[2]) for row in await conn.fetch(STATES, tickets)}
        return Evidence(
            calls=tuple(calls),
            events=tuple(_event(row) for row in await conn.fetch(EVENTS, tickets)),
            decisions=tuple(_decision(row) for row in await conn.fetch(DECISIONS, tickets, keys)),
            runs=tuple(await _runs(await lab.temporal(), states)),
            states=states,
            late_timers=tuple(row[0] for row in await conn.fetch(OVERDUE, LATE, tickets)),
            double_timers=tuple(row[0] for row in await conn.fetch(DOUBLE_ESCALATIONS, tickets)),
            escalations=await conn.fetchval(ESCALATIONS, tickets),
            broken_records=tuple(await _broken_records(lab, states)),
            open_promises=tuple(row[0] for row in await conn.fetch(PROMISES)),
        )
    finally:
        await conn.close()


async def _at_rest(
    conn: Connection, tickets: list[UUID], accepted: list[str], seconds: float
) -> None:
    """Wait for accepted commands and what is due; what never comes is for the checker."""

    async def rests() -> bool:
        undecided = await conn.fetchval(OPEN, accepted)
        overdue = await conn.fetch(OVERDUE, timedelta(), tickets)
        promised = await conn.fetch(PROMISES)
        return not undecided and not overdue and not promised

    try:
        await eventually(rests, within=seconds)
    except AssertionError:
        return


async def _broken_records(lab: Lab, tickets: Collection[str]) -> list[str]:
    check = Verification(lab.owner_url, frozenset(load_bundle().pairs))
    return [
        f"{fault.table} {fault.row_id}: {fault.problem}"
        async for fault in check.faults()
        if fault.ticket_id is None or fault.ticket_id in tickets
    ]


async def _runs(client: Client, tickets: Iterable[str]) -> list[Run]:
    gate = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def one(ticket: str) -> list[Run]:
        async with gate:
            return await _runs_of(client, Subject.of_ticket(TENANT, UUID(ticket)).workflow_id)

    return [run for runs in await asyncio.gather(*map(one, tickets)) for run in runs]


async def _runs_of(client: Client, workflow: str) -> list[Run]:
    """Follow the runs of a workflow back to the one that was not continued from another."""
    found: list[Run] = []
    run_id: str | None = None
    while run_id != "":
        handle = client.get_workflow_handle(workflow, run_id=run_id)
        try:
            events = list((await handle.fetch_history()).events)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            break  # somebody has deleted it
        found.append(await _run(client, workflow, events))
        start = events[0].workflow_execution_started_event_attributes
        run_id = start.continued_execution_run_id
    return found


async def _run(client: Client, workflow: str, events: Sequence[HistoryEvent]) -> Run:
    kept: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                signal = event.workflow_execution_signaled_event_attributes
                if signal.signal_name != CLOCK_CHANGED:
                    payloads = signal.input.payloads
                    (signed,) = await client.data_converter.decode(payloads, [SignedCommand])
                    kept["signaled"].append(str(signed.command.command_id))
            case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failed = event.workflow_task_failed_event_attributes
                if failed.cause not in HARMLESS:
                    cause = WorkflowTaskFailedCause.Name(failed.cause)
                    kept["failures"].append(f"{cause}: {failed.failure.message}")
            case EventType.EVENT_TYPE_TIMER_STARTED:
                kept["timers_started"].append(event.timer_started_event_attributes.timer_id)
            case EventType.EVENT_TYPE_TIMER_FIRED:
                kept["timers_fired"].append(event.timer_fired_event_attributes.timer_id)
            case EventType.EVENT_TYPE_TIMER_CANCELED:
                kept["timers_canceled"].append(event.timer_canceled_event_attributes.timer_id)
    lists = {name: tuple(values) for name, values in kept.items()}
    return Run(workflow=workflow, struck=events[-1].event_type in STRUCK, **lists)


def _event(row: asyncpg.Record) -> Event:
    body: Any = row["body"] or {}
    ticket = body.get("ticket", body)
    version = ticket.get("version") if isinstance(ticket, dict) and "state" in ticket else None
    names = ("ticket", "seq", "hash", "prev_hash", "command", "before", "after")
    return Event(**{name: row[name] for name in names}, version=version)


def _decision(row: asyncpg.Record) -> Decision:
    text, decision = row["text"], row["decision"]
    return Decision(
        command=row["command"],
        actor=row["actor"],
        tool=row["tool"],
        key=row["key"],
        allowed=None if decision is None else decision == "ALLOW",
        code=row["code"],
        digest=None if text is None else hashlib.sha256(text.encode()).hexdigest(),
    )
