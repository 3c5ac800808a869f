"""Commands without a ticket: autonomy controls and outbox replays, and whose chain they extend."""

import asyncio
from uuid import UUID, uuid4

import pytest

from policy.audit.shape import timeline_shape
from policy.canonical import sha256_hex
from policy.model import Role
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import CHECKLIST, Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

COMMON = {"endpoint", "requested_at", "request"}
TENANT_CHAIN = "SELECT * FROM audit_events WHERE ticket_id IS NULL ORDER BY seq"
DEAD = """
INSERT INTO dispatch_outbox (aggregate_type, aggregate_id, event_type, payload, idempotency_key,
                             status, attempt_count, last_error)
VALUES ($1, $2, 'e', '{}', gen_random_uuid(), $3, 6, 'no carrier') RETURNING id
"""


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def dead_letter(runner: Runner, kind: str, name: str, status: str = "DEAD_LETTER") -> UUID:
    outbox_id: UUID = await runner.owner.fetchval(DEAD, kind, name, status)
    return outbox_id


async def test_pausing_again_updates_the_one_row_of_a_scope(runner: Runner) -> None:
    scope = {"scope_type": "INCIDENT", "incident_type": "door_wont_latch"}
    first = await runner.done("ops.autonomy.pause", {**scope, "reason": "Recall"})
    second = await runner.done("ops.autonomy.rollback", scope)
    assert (first["previous_is_paused"], second["previous_is_paused"]) == (False, True)
    assert first["scope"]["id"] == second["scope"]["id"]
    row = await runner.row("SELECT * FROM autonomy_control_state")
    assert (row["incident_type"], row["is_paused"], row["reason"]) == (
        "DOOR_WONT_LATCH",
        False,
        None,
    )
    history = await runner.rows("SELECT * FROM autonomy_control_history ORDER BY created_at")
    assert [entry["action"] for entry in history] == ["pause", "rollback"]
    assert str(history[0]["id"]) == first["history_id"]


async def test_controls_form_the_chain_of_the_tenant(runner: Runner) -> None:
    answers = await asyncio.gather(*(runner.run("ops.autonomy.pause", {}) for _ in range(4)))
    rows = await runner.rows(TENANT_CHAIN)
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    for row, earlier in zip(rows[1:], rows, strict=False):
        assert row["prev_hash"] == earlier["hash"]
        assert row["hash"] == sha256_hex(timeline_shape(row))
    audit = await runner.audit(answers[0].command_id)
    assert (audit["before_state"], audit["after_state"]) == (None, None)
    assert set(audit["payload"]) - COMMON == {
        *("previous_is_paused", "current_is_paused", "control_state_id"),
        *("control_history_id", "scope"),
    }
    assert await count(runner.owner, "autonomy_control_state") == 1


async def test_a_paused_ticket_is_not_completed_until_its_own_rollback(runner: Runner) -> None:
    ticket = await runner.in_progress()
    await runner.add_evidence(ticket)
    await runner.done("ops.autonomy.pause", {"reason": "Outage"})
    attempt = {"checklist_status": CHECKLIST}
    paused = await runner.run("tech.complete", attempt, ticket)
    assert (paused.code, paused.error["scope_id"]) == ("AUTONOMY_DISABLED", "GLOBAL")
    scope = {"scope_type": "TICKET", "ticket_id": str(ticket).upper()}
    await runner.done("ops.autonomy.rollback", scope)
    assert (await runner.run("tech.complete", attempt, ticket)).status == 200


async def test_a_control_of_an_unknown_ticket_is_not_found(runner: Runner) -> None:
    scope = {"scope_type": "TICKET", "ticket_id": str(uuid4())}
    answer = await runner.run("ops.autonomy.pause", scope)
    assert (answer.status, answer.code) == (404, "TICKET_NOT_FOUND")
    assert await count(runner.owner, "autonomy_control_state") == 0


async def test_a_replayed_message_is_due_again_and_stands_in_its_tickets_chain(
    runner: Runner,
) -> None:
    ticket = await runner.create()
    outbox_id = await dead_letter(runner, "ticket", str(ticket))
    answer = await runner.run("outbox.replay", {"outbox_id": str(outbox_id)})
    assert answer.body == {
        "id": str(outbox_id),
        "status": "PENDING",
        "aggregate_type": "ticket",
        "aggregate_id": str(ticket),
    }
    row = await runner.row("SELECT * FROM dispatch_outbox")
    assert (row["status"], row["attempt_count"], row["last_error"]) == ("PENDING", 0, None)
    audit = await runner.audit(answer.command_id)
    assert set(audit["payload"]) == {"endpoint", "requested_at", "outbox_id"}
    assert (audit["ticket_id"], audit["seq"], audit["after_state"]) == (ticket, 2, None)
    await runner.done("ticket.cancel", {"reason": "Done with it"}, ticket)
    head = await runner.row(
        "SELECT seq, prev_hash FROM audit_events WHERE tool_name = 'ticket.cancel'"
    )
    assert head == {"seq": 3, "prev_hash": audit["hash"]}


@pytest.mark.parametrize(
    ("kind", "name"), [("ticket", str(UUID(int=1))), ("ticket", "x"), ("job", "1")]
)
async def test_a_message_of_no_ticket_stands_in_the_tenants_chain(
    runner: Runner, kind: str, name: str
) -> None:
    outbox_id = await dead_letter(runner, kind, name)
    answer = await runner.run("outbox.replay", {"outbox_id": str(outbox_id)}, role=Role.ADMIN)
    assert (await runner.audit(answer.command_id))["ticket_id"] is None


async def test_only_a_dead_letter_is_replayed(runner: Runner) -> None:
    outbox_id = await dead_letter(runner, "job", "1", "SENT")
    sent = await runner.run("outbox.replay", {"outbox_id": str(outbox_id)})
    unknown = await runner.run("outbox.replay", {"outbox_id": str(uuid4())})
    assert (sent.status, sent.error["outbox_status"]) == (409, "SENT")
    assert (unknown.status, unknown.code) == (404, "OUTBOX_NOT_FOUND")
