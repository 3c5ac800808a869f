"""Intake, questions, recommendations and holds: what each leaves in Postgres."""

import asyncio
import time
from uuid import UUID, uuid4

import pytest

from policy.model import Role
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import WINDOW, Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

COMMON = {"endpoint", "requested_at", "request"}
TICKET = "SELECT *, state::text AS state FROM tickets WHERE id = $1"
MANY = """
INSERT INTO technicians (id, name, home_region)
SELECT gen_random_uuid(), 'T' || n, CASE n % 2 WHEN 0 THEN 'CA' ELSE 'TX' END
  FROM generate_series(1, 2000) n
"""
THEIR_SKILLS = "INSERT INTO technician_skills SELECT id, 'DEFAULT' FROM technicians WHERE id <> $1"
TAKEN = """
INSERT INTO dispatch_outbox (aggregate_type, aggregate_id, event_type, payload, idempotency_key)
VALUES ('other', '1', 'e', '{}', $1)
"""
HOURS = """
INSERT INTO technician_availability
SELECT id, d, '00:00', '24:00' FROM technicians, generate_series(0, 6) d
"""


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


def intake(runner: Runner, **fields: object) -> dict[str, object]:
    return {
        "account_id": str(runner.account),
        "site_id": str(runner.site),
        "summary": "Door does not latch",
        "incident_type": "Door_Wont_Latch",
        "customer_name": "Ada",
        "priority": "URGENT",
        "identity_confidence": 90.9,
        "classification_confidence": 90,
        "contact_phone": "+1 (555) 010-0200",
        "contact_email": "Ada@Example.com",
        "sop_handoff_acknowledged": True,
    } | fields


async def test_a_sure_intake_is_ready_to_be_scheduled(runner: Runner) -> None:
    answer = await runner.run("ticket.blind_intake", intake(runner))
    assert answer.status == 201
    row = await runner.row(TICKET, UUID(answer.body["id"]))
    assert (row["state"], row["version"], row["priority"]) == ("READY_TO_SCHEDULE", 0, "URGENT")
    assert (row["customer_phone"], row["customer_email"]) == ("15550100200", "ada@example.com")
    assert (row["identity_confidence"], row["incident_type"]) == (90, "Door_Wont_Latch")
    assert row["sop_handoff_acknowledged"] is True
    audit = await runner.audit(answer.command_id)
    assert set(audit["payload"]) - COMMON == {
        *("state_recommendation", "readiness", "identity_signature", "policy"),
        *("sop_handoff_required", "sop_handoff_acknowledged"),
    }
    assert audit["payload"]["request"]["contact_phone"].startswith("redacted:")


async def test_of_equal_intakes_at_once_exactly_one_creates_a_ticket(runner: Runner) -> None:
    answers = await asyncio.gather(
        *(runner.run("ticket.blind_intake", intake(runner)) for _ in range(4))
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    first = await runner.row("SELECT id FROM tickets")
    assert refused.error["code"] == "DUPLICATE_INTAKE"
    assert refused.error["duplicate_ticket_id"] == str(first["id"])


async def test_a_cancelled_ticket_is_no_duplicate(runner: Runner) -> None:
    first = await runner.done("ticket.blind_intake", intake(runner))
    await runner.done("ticket.cancel", {"reason": "Mistake"}, UUID(first["id"]))
    assert (await runner.run("ticket.blind_intake", intake(runner))).status == 201


async def test_questions_lead_to_needs_info(runner: Runner) -> None:
    ticket = await runner.create()
    body = await runner.done("ticket.request_info", {"questions": [" Which door? "]}, ticket)
    assert body["questions"] == ["Which door?"]
    assert (await runner.row(TICKET, ticket))["state"] == "NEEDS_INFO"


async def test_a_recommendation_is_kept_and_can_be_dispatched(runner: Runner) -> None:
    ticket = await runner.scheduled()
    away = await runner.add_technician("Away", "TX")
    retired = await runner.add_technician("Retired", active=False)
    busy = await runner.add_technician("Busy")
    other = await runner.scheduled()
    await runner.done("assignment.dispatch", {"tech_id": str(busy)}, other)

    answer = await runner.run(
        "assignment.recommend", {"service_type": "door_wont_latch_v2"}, ticket
    )

    assert answer.status == 201
    best, second = answer.body["recommendations"]
    assert (best["tech_id"], best["score"]) == (str(runner.tech), 1200)
    assert (second["tech_id"], second["score"]) == (str(busy), 1190)
    assert second["matches"]["overlapping_ticket_ids"] == [str(other)]
    assert best["matches"]["available"] is None
    assert {each["tech_id"]: each["reasons"] for each in answer.body["excluded"]} == {
        str(away): ["ASSIGNMENT_ZONE_MISMATCH"],
        str(retired): ["TECH_UNAVAILABLE"],
    }
    snapshot = await runner.row("SELECT * FROM assignment_recommendation_snapshots")
    assert str(snapshot["recommendation_snapshot_id"]) == answer.body["snapshot_id"]
    assert (snapshot["incident_type"], snapshot["site_region"]) == ("DOOR_WONT_LATCH", "CA")
    assert [each["tech_id"] for each in snapshot["candidates"]] == [str(runner.tech), str(busy)]
    choice = {"recommendation_snapshot_id": answer.body["snapshot_id"]}
    mismatch = await runner.run("assignment.dispatch", {**choice, "tech_id": str(busy)}, ticket)
    assert mismatch.error["code"] == "ASSIGNMENT_RECOMMENDATION_MISMATCH"
    await runner.done("assignment.dispatch", {**choice, "tech_id": str(runner.tech)}, ticket)


async def test_two_thousand_technicians_are_ranked_without_delay(runner: Runner) -> None:
    ticket = await runner.scheduled()
    await runner.owner.execute(MANY)
    await runner.owner.execute(THEIR_SKILLS, runner.tech)
    await runner.owner.execute(HOURS)
    began = time.monotonic()
    answer = await runner.run("assignment.recommend", {"service_type": "X"}, ticket)
    assert time.monotonic() - began < 2
    assert len(answer.body["recommendations"]) == 5
    assert answer.body["recommendations"][0]["matches"]["available"] is True
    assert len(answer.body["excluded"]) == 1000
    audit = await runner.audit(answer.command_id)
    assert audit["payload"]["candidate_count"] == 1001


async def test_a_hold_keeps_what_it_interrupts_and_release_restores_it(runner: Runner) -> None:
    ticket = await runner.scheduled()
    asked = {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": WINDOW}
    held = await runner.done("schedule.hold", asked, ticket)
    snapshot = await runner.row("SELECT * FROM schedule_hold_snapshots")
    assert (str(snapshot["id"]), str(snapshot["hold_sequence_id"])) == (
        held["snapshot_id"],
        held["hold_id"],
    )
    assert (snapshot["hold_state"], snapshot["hold_reason_code"]) == (
        "SCHEDULED",
        "CUSTOMER_PENDING",
    )
    wrong = await runner.run("schedule.release", {"customer_confirmation_id": str(uuid4())}, ticket)
    assert wrong.error["code"] == "HOLD_CONFIRMATION_MISSING"
    assert wrong.error["confirmation_log"]["confirmation_window"] == WINDOW
    body = await runner.done(
        "schedule.release", {"customer_confirmation_id": held["hold_id"]}, ticket
    )
    assert (body["restored_state"], body["restored_window"]) == ("SCHEDULED", WINDOW)


async def test_a_stale_hold_can_only_be_rolled_back(runner: Runner) -> None:
    ticket = await runner.scheduled()
    past = {"start": "2001-01-01T00:00:00.000Z", "end": "2001-01-01T01:00:00.000Z"}
    asked = {"hold_reason": "CUSTOMER_UNREACHABLE", "confirmation_window": past}
    held = await runner.done("schedule.hold", asked, ticket)
    stale = await runner.run(
        "schedule.release", {"customer_confirmation_id": held["hold_id"]}, ticket
    )
    assert stale.error["code"] == "CUSTOMER_CONFIRMATION_STALE"
    back = {"confirmation_id": held["hold_id"], "reason": "No answer"}
    body = await runner.done("schedule.rollback", back, ticket)
    assert (body["reason"], body["ticket"]["state"]) == ("No answer", "SCHEDULED")


async def test_an_unassigned_job_keeps_its_schedule_and_a_resumed_one_may_not(
    runner: Runner,
) -> None:
    ticket = await runner.in_progress()
    await runner.done("dispatch.force_hold", {"reason": "Storm"}, ticket)
    answer = await runner.run("dispatch.resume", {"resume_to": "READY_TO_SCHEDULE"}, ticket)
    assert (await runner.audit(answer.command_id))["payload"]["held_from_state"] == "IN_PROGRESS"
    row = await runner.row(TICKET, ticket)
    assert (row["scheduled_start"], row["assigned_tech_id"]) == (None, None)

    other = await runner.in_progress()
    await runner.done("dispatch.force_unassign", {}, other)
    await runner.done("dispatch.force_unassign", {}, other)
    row = await runner.row(TICKET, other)
    assert (row["state"], row["assigned_tech_id"]) == ("SCHEDULED", None)
    assert row["scheduled_start"] is not None


async def test_a_taken_message_key_aborts_the_command(runner: Runner) -> None:
    ticket = await runner.in_progress()
    await runner.done("dispatch.force_hold", {}, ticket)
    await runner.done("dispatch.resume", {"resume_to": "READY_TO_SCHEDULE"}, ticket)
    await runner.done("schedule.propose", {"options": [WINDOW]}, ticket)
    first = await runner.row(
        "SELECT * FROM dispatch_outbox WHERE event_type = 'schedule.confirm.sms'"
    )
    taken = f"{first['idempotency_key']}:2"
    await runner.owner.execute(TAKEN, taken)
    refused = await runner.run("schedule.confirm", WINDOW, ticket)
    assert (refused.status, refused.code) == (409, "OUTBOX_CONFLICT")
    assert refused.error["idempotency_key"] == taken
    assert (await runner.row(TICKET, ticket))["state"] == "SCHEDULE_PROPOSED"
    await runner.owner.execute("DELETE FROM dispatch_outbox WHERE idempotency_key = $1", taken)
    answer = await runner.run("schedule.confirm", WINDOW, ticket)
    audit = await runner.audit(answer.command_id)
    assert audit["payload"]["confirmation_ordinal"] == 2


async def test_a_bypass_needs_no_schedule(runner: Runner) -> None:
    ticket = await runner.create()
    triage = {"priority": "EMERGENCY", "incident_type": "CANNOT_SECURE_ENTRY"}
    await runner.done("ticket.triage", triage, ticket)
    dispatch = {
        "tech_id": str(runner.tech),
        "dispatch_mode": "EMERGENCY_BYPASS",
        "dispatch_rationale": "The shop stands open",
        "dispatch_confirmation": True,
    }
    await runner.done("assignment.dispatch", dispatch, ticket, Role.DISPATCHER)
    assert (await runner.row(TICKET, ticket))["state"] == "DISPATCHED"
    assert await count(runner.owner, "dispatch_outbox") == 1
