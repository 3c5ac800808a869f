"""The canonical lifecycle through the activity: every row it leaves, on a real Postgres."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.ticket.commands import PostgresTicketActivities
from contracts.signing import sign
from policy.audit.shape import timeline_shape
from policy.canonical import sha256_hex
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import CHECKLIST, KEY, WINDOW, Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

TRANSITIONS = """
SELECT from_state::text || '->' || to_state::text AS step, from_state IS NULL AS is_first
  FROM ticket_state_transitions WHERE ticket_id = $1 ORDER BY seq
"""
AUDIT = "SELECT * FROM audit_events WHERE ticket_id = $1 ORDER BY seq"
PATH = [
    *("NEW->TRIAGED", "TRIAGED->READY_TO_SCHEDULE", "READY_TO_SCHEDULE->SCHEDULE_PROPOSED"),
    *("SCHEDULE_PROPOSED->SCHEDULED", "SCHEDULED->DISPATCHED", "DISPATCHED->ON_SITE"),
    *("ON_SITE->IN_PROGRESS", "IN_PROGRESS->APPROVAL_REQUIRED", "APPROVAL_REQUIRED->IN_PROGRESS"),
    "IN_PROGRESS->COMPLETED_PENDING_VERIFICATION",
    *("COMPLETED_PENDING_VERIFICATION->VERIFIED", "VERIFIED->INVOICED", "INVOICED->CLOSED"),
]


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def live(runner: Runner) -> UUID:
    """Lead one ticket through its whole life."""
    ticket = await runner.in_progress()
    change = {"approval_type": "NTE_INCREASE", "reason": "New strike", "amount_delta_cents": 900}
    asked = await runner.done("tech.request_change", change, ticket)
    verdict = {"approval_id": asked["approval"]["id"], "decision": "APPROVED"}
    await runner.done("approval.decide", verdict, ticket)
    await runner.add_evidence(ticket)
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
    await runner.done("qa.verify", {"timestamp": WINDOW["end"], "result": "PASS"}, ticket)
    await runner.done("billing.generate_invoice", {}, ticket)
    await runner.done("ticket.close", {"reason": "Done"}, ticket)
    return ticket


def assert_chained(rows: list[dict[str, Any]]) -> None:
    """Anyone who holds a timeline can verify it (contract 13.2)."""
    previous = "0" * 64
    for seq, row in enumerate(rows, start=1):
        states = {name: row[name] for name in ("before_state", "after_state", "actor_type")}
        shape = timeline_shape({**row, **states})
        assert (row["seq"], row["prev_hash"]) == (seq, previous)
        assert row["hash"] == sha256_hex(shape)
        previous = row["hash"]
    moments = [row["created_at"] for row in rows]
    assert moments == sorted(set(moments))


async def test_a_ticket_lives_from_creation_to_closure(runner: Runner) -> None:
    ticket = await live(runner)

    steps = await runner.rows(TRANSITIONS, ticket)
    assert [step["step"] for step in steps[1:]] == PATH
    assert steps[0]["is_first"]
    assert_chained(await runner.rows(AUDIT, ticket))
    row = await runner.row("SELECT state::text, version FROM tickets WHERE id = $1", ticket)
    assert row == {"state": "CLOSED", "version": 11}
    assert await count(runner.owner, "dispatch_outbox") == 2
    assert await count(runner.owner, "idempotency_keys") == 16
    sealed = await runner.rows("SELECT DISTINCT immutable_by, is_immutable FROM evidence_items")
    assert sealed == [{"immutable_by": "the-qa", "is_immutable": True}]


async def test_the_closeout_packet_hashes_to_what_stands_beside_it(runner: Runner) -> None:
    ticket = await live(runner)
    packet = await runner.row("SELECT * FROM closeout_artifacts WHERE ticket_id = $1", ticket)
    assert packet["artifact_name"] == f"closeout-{ticket}.json"
    assert packet["artifact_hash"] == sha256_hex(packet["artifact_payload"])
    assert packet["artifact_payload"]["state_history_summary"]["transition_count"] == 14


async def test_audit_rows_hold_no_key_the_contract_does_not_list(runner: Runner) -> None:
    ticket = await runner.scheduled()
    common = {"endpoint", "requested_at", "request"}
    keys = {
        row["tool_name"]: set(row["payload"]) - common for row in await runner.rows(AUDIT, ticket)
    }
    assert keys == {
        "ticket.create": set(),
        "ticket.triage": {"workflow_outcome", "derived_transitions"},
        "schedule.propose": {"options", "selected_window_hint"},
        "schedule.confirm": {"confirmation_window", "confirmation_ordinal"},
    }


async def test_a_rejection_leaves_its_log_row_and_nothing_else(runner: Runner) -> None:
    ticket = await runner.in_progress()
    before = [await count(runner.owner, table) for table in ("audit_events", "idempotency_keys")]
    rejected = await runner.run("tech.complete", {"checklist_status": {}}, ticket)
    assert rejected.error["requirement_code"] == "MISSING_SIGNATURE_CONFIRMATION"
    assert rejected.error["policy_error"] == {
        "dimension": "evidence",
        "requirement_code": "MISSING_SIGNATURE_CONFIRMATION",
    }
    after = [await count(runner.owner, table) for table in ("audit_events", "idempotency_keys")]
    assert after == before


async def test_a_key_that_was_rejected_runs_again(runner: Runner) -> None:
    ticket = await runner.create()
    key = str(uuid4())
    bad = await runner.run("ticket.triage", {"priority": "NOW"}, ticket, request_id=key)
    good = {"priority": "URGENT", "incident_type": "X"}
    assert bad.status == 400
    assert (await runner.run("ticket.triage", good, ticket, request_id=key)).status == 200


async def test_one_key_with_another_body_is_a_mismatch(runner: Runner) -> None:
    ticket = await runner.create()
    key = str(uuid4())
    first = {"priority": "URGENT", "incident_type": "X"}
    await runner.run("ticket.triage", first, ticket, request_id=key)
    other = await runner.run("ticket.triage", {**first, "nte_cents": 1}, ticket, request_id=key)
    assert (other.status, other.code) == (409, "IDEMPOTENCY_PAYLOAD_MISMATCH")


async def test_equal_commands_at_once_have_one_effect(runner: Runner) -> None:
    ticket = await runner.create()
    cancel = runner.command("ticket.cancel", {"reason": "Not needed"}, ticket)
    answers = await asyncio.gather(*(runner.send(cancel) for _ in range(4)))
    assert {answer.status for answer in answers} == {200}
    assert [row["tool_name"] for row in await runner.rows(AUDIT, ticket)] == [
        "ticket.create",
        "ticket.cancel",
    ]


async def test_a_command_without_the_gateways_mac_is_recorded_as_denied(runner: Runner) -> None:
    ticket = await runner.create()
    cancel = runner.command("ticket.cancel", {"reason": "Mine now"}, ticket)
    activities = PostgresTicketActivities(runner.pool, runner.bundle, KEY, runner.memory)
    outcome = await activities.execute_command(sign(b"x" * 32, cancel))
    assert outcome.code == "INVALID_AUTH_TOKEN"
    assert outcome.ticket is not None
    assert outcome.ticket.state == "NEW"
