"""ops.autonomy.pause, ops.autonomy.rollback and outbox.replay: commands without a ticket."""

from typing import Any
from uuid import UUID

import pytest

from policy.autonomy.model import AutonomyControl
from policy.autonomy.writes import InsertAutonomyHistory, UpsertAutonomy
from policy.codes import Code
from policy.delivery.rows import OutboxRow, ReplayOutbox
from tests.unit.facts_builder import EARLIER, NOW, actor, allowed, denied, judge
from tests.unit.payloads import ACCOUNT, NEW_IDS, OUTBOX, REQUEST, TICKET

PAUSE, ROLLBACK = "ops.autonomy.pause", "ops.autonomy.rollback"
INCIDENT = {"scope_type": "INCIDENT", "incident_type": " door ", "reason": "Recall"}
TICKET_SCOPE = {"scope_type": "TICKET", "ticket_id": str(TICKET)}


@pytest.mark.parametrize("tool", [PAUSE, ROLLBACK])
@pytest.mark.parametrize(
    "payload",
    [
        {"other": 1},
        {"other": None},
        {"scope_type": "global"},
        {"incident_type": "X"},
        {"scope_type": "GLOBAL", "ticket_id": str(TICKET)},
        {"scope_type": "INCIDENT"},
        {"scope_type": "INCIDENT", "incident_type": " "},
        {**INCIDENT, "ticket_id": str(TICKET)},
        {"scope_type": "TICKET"},
        {**TICKET_SCOPE, "incident_type": "X"},
    ],
)
def test_a_control_takes_exactly_the_fields_of_its_scope(
    tool: str, payload: dict[str, Any]
) -> None:
    assert denied(judge(tool, payload=payload)).code is Code.INVALID_REQUEST


def test_no_payload_and_null_both_mean_everything() -> None:
    for payload in ({}, {"scope_type": None, "ticket_id": None, "reason": None}):
        body = allowed(judge(PAUSE, payload=payload)).body
        assert body is not None
        assert body["scope"]["scope_type"] == "GLOBAL"


def test_a_first_pause_makes_the_row_and_its_history() -> None:
    effects = allowed(judge(PAUSE, payload=INCIDENT))
    row, history = effects.writes
    assert isinstance(row, UpsertAutonomy)
    assert isinstance(history, InsertAutonomyHistory)
    assert (row.id, row.incident_type, row.is_paused) == (NEW_IDS[0], "DOOR", True)
    scope = {
        "action": "pause",
        "scope_type": "INCIDENT",
        "incident_type": "DOOR",
        "ticket_id": None,
        "reason": "Recall",
    }
    assert (history.id, history.control_state_id, history.payload) == (*NEW_IDS[::-1], scope)
    assert effects.body == {
        "action": "pause",
        "scope": {
            "id": str(NEW_IDS[0]),
            "scope_type": "INCIDENT",
            "incident_type": "DOOR",
            "ticket_id": None,
            "is_paused": True,
            "reason": "Recall",
            "actor_type": "HUMAN",
            "actor_id": "someone",
            "actor_role": "dispatcher",
            "request_id": str(REQUEST),
            "correlation_id": "correlation",
            "trace_id": None,
            "created_at": "2026-11-20T12:00:00.000Z",
            "updated_at": "2026-11-20T12:00:00.000Z",
        },
        "previous_is_paused": False,
        "current_is_paused": True,
        "history_id": str(NEW_IDS[1]),
        "warnings": [{"code": "TEMPLATE_NOT_FOUND", "near": []}],
    }
    assert effects.audit == {
        "previous_is_paused": False,
        "current_is_paused": True,
        "control_state_id": str(NEW_IDS[0]),
        "control_history_id": str(NEW_IDS[1]),
        "scope": scope,
    }


def test_a_later_control_changes_the_row_that_is_there() -> None:
    there = AutonomyControl(id=UUID(int=70), is_paused=True, created_at=EARLIER)
    effects = allowed(judge(ROLLBACK, control=there))
    row = effects.writes[0]
    assert isinstance(row, UpsertAutonomy)
    assert (row.id, row.created_at, row.updated_at) == (there.id, EARLIER, NOW)
    assert (row.is_paused, effects.audit["previous_is_paused"]) == (False, True)


def test_a_rollback_of_what_was_never_paused_is_recorded() -> None:
    effects = allowed(judge(ROLLBACK, payload=TICKET_SCOPE))
    assert effects.audit["previous_is_paused"] is effects.audit["current_is_paused"] is False


def test_a_ticket_control_needs_the_ticket_within_scope() -> None:
    unknown = denied(judge(PAUSE, payload=TICKET_SCOPE, named_ticket=None))
    assert unknown.code is Code.TICKET_NOT_FOUND
    far = actor(account_ids=frozenset({UUID(int=99)}))
    denial = denied(judge(PAUSE, payload=TICKET_SCOPE, who=far))
    assert denial.details == {"scope_field": "account_id", "target_id": str(ACCOUNT)}
    allowed(judge(PAUSE, payload=INCIDENT, who=far, named_ticket=None))


def message(**fields: Any) -> OutboxRow:  # noqa: ANN401  columns
    columns: dict[str, Any] = {
        "id": OUTBOX,
        "status": "DEAD_LETTER",
        "aggregate_type": "ticket",
        "aggregate_id": str(TICKET),
        "ticket_id": TICKET,
    }
    return OutboxRow(**columns | fields)


def test_a_replay_makes_a_dead_letter_due_now() -> None:
    effects = allowed(judge("outbox.replay"))
    assert effects.writes == (ReplayOutbox(id=OUTBOX, next_attempt_at=NOW),)
    assert (effects.audit_ticket_id, effects.request_recorded) == (TICKET, False)
    assert effects.body is not None
    assert effects.body["status"] == "PENDING"
    orphan = allowed(judge("outbox.replay", outbox=message(ticket_id=None)))
    assert orphan.audit_ticket_id is None


@pytest.mark.parametrize("status", ["PENDING", "SENT"])
def test_other_messages_are_not_replayed(status: str) -> None:
    denial = denied(judge("outbox.replay", outbox=message(status=status)))
    assert (denial.code, denial.details) == (
        Code.OUTBOX_REPLAY_INVALID_STATE,
        {"outbox_id": str(OUTBOX), "outbox_status": status},
    )
    unknown = denied(judge("outbox.replay", outbox=None))
    assert (unknown.status, unknown.details) == (404, {"outbox_id": str(OUTBOX)})
