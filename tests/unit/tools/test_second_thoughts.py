"""ticket.reclassify and qa.return, and the warnings of words that block a ticket later on."""

from typing import Any

import pytest

from policy.codes import Code
from policy.delivery.rows import InsertOutbox
from policy.model import Priority, Role, State
from policy.rules.vocabulary import MOST_NEAR, MOST_WARNINGS, key_warnings, near_types
from tests.unit.facts_builder import actor, allowed, bundle, denied, judge, ticket
from tests.unit.payloads import TECH

RECLASSIFY, RETURN = "ticket.reclassify", "qa.return"
PENDING = State.COMPLETED_PENDING_VERIFICATION
FINDINGS = [{"key": "photo_after_latched_alignment", "note": "Another door"}]
RETURNED: dict[str, Any] = {"reason": "The latch\ndoes not close", "findings": FINDINGS}


@pytest.mark.parametrize("state", bundle().tools[RECLASSIFY].from_states or ())
def test_a_ticket_is_reclassified_in_place_and_the_audit_row_has_both_values(state: State) -> None:
    job = ticket(state, incident_type="DOOR_WONT_LACH", priority=Priority.ROUTINE)
    payload = {"incident_type": "DOOR_WONT_LATCH", "priority": "EMERGENCY", "reason": "Misspelt"}
    effects = allowed(judge(RECLASSIFY, payload=payload, ticket=job))
    assert effects.ticket == job.model_copy(
        update={
            "incident_type": "DOOR_WONT_LATCH",
            "priority": Priority.EMERGENCY,
            "version": job.version + 1,
            "updated_at": effects.ticket.updated_at if effects.ticket else None,
        }
    )
    assert effects.audit == {
        "previous_incident_type": "DOOR_WONT_LACH",
        "incident_type": "DOOR_WONT_LATCH",
        "previous_priority": "ROUTINE",
        "priority": "EMERGENCY",
        "reason": "Misspelt",
    }


@pytest.mark.parametrize(
    "payload",
    [
        {"reason": "Nothing is named"},
        {"reason": "Nothing changes", "priority": "ROUTINE"},
        {"reason": "Nor here", "priority": "ROUTINE", "incident_type": "DOOR_WONT_LATCH"},
        {"priority": "EMERGENCY"},
        {"priority": "HIGH", "reason": "No such word"},
        {"priority": "EMERGENCY", "reason": "A key too many", "state": "NEW"},
    ],
)
def test_a_reclassification_changes_something_says_why_and_is_closed(
    payload: dict[str, Any],
) -> None:
    job = ticket(State.SCHEDULED, incident_type="DOOR_WONT_LATCH", priority=Priority.ROUTINE)
    assert denied(judge(RECLASSIFY, payload=payload, ticket=job)).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("state", [State.NEW, State.NEEDS_INFO, State.VERIFIED, State.INVOICED])
def test_before_triage_and_from_verification_on_nothing_is_reclassified(state: State) -> None:
    denial = denied(judge(RECLASSIFY, state, {"priority": "URGENT", "reason": "Late"}))
    assert denial.code is Code.INVALID_STATE_TRANSITION


def test_returned_work_goes_back_and_the_technician_is_told() -> None:
    job = ticket(PENDING, assigned_tech_id=TECH)
    effects = allowed(judge(RETURN, payload=RETURNED, ticket=job, assigned_phone="+15550100"))
    assert effects.pairs == ((PENDING, State.IN_PROGRESS),)
    assert effects.audit == RETURNED
    (message,) = effects.writes
    assert isinstance(message, InsertOutbox)
    assert message.payload["to"] == "+15550100"
    assert message.payload["body"] == (
        f"Your job {job.id} came back from quality assurance: The latch does not close"
        " Findings: 1; the job packet has them."
    )


def test_nobody_is_told_of_returned_work_that_nobody_is_assigned_to() -> None:
    job = ticket(PENDING, assigned_tech_id=None)
    assert allowed(judge(RETURN, payload=RETURNED, ticket=job)).writes == ()


@pytest.mark.parametrize(
    "payload",
    [
        {"findings": FINDINGS},
        {"reason": " "},
        {"reason": "x", "findings": [{"key": "photo"}]},
        {"reason": "x", "findings": [{"key": "photo", "note": "n", "extra": 1}]},
        {"reason": "x", "findings": FINDINGS * 51},
        {"reason": "x", "result": "FAIL"},
    ],
)
def test_a_return_says_why_and_is_closed_down_to_its_findings(payload: dict[str, Any]) -> None:
    denial = denied(judge(RETURN, PENDING, payload, actor(Role.QA)))
    assert denial.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("tool", "state", "payload"),
    [
        ("ticket.triage", State.NEW, {"priority": "URGENT"}),
        (RECLASSIFY, State.SCHEDULED, {"reason": "Another fault"}),
    ],
)
def test_a_type_without_template_is_warned_of_with_what_it_is_near_to(
    tool: str, state: State, payload: dict[str, Any]
) -> None:
    job = ticket(state)
    body = {**payload, "incident_type": "DOOR_WONT_LACH"}
    effects = allowed(judge(tool, payload=body, ticket=job))
    assert effects.body is not None
    (warning,) = effects.body["warnings"]
    assert warning["code"] == "TEMPLATE_NOT_FOUND"
    assert warning["near"][0] == "DOOR_WONT_LATCH"
    body["incident_type"] = "CANNOT_SECURE_ENTRY"
    known = allowed(judge(tool, payload=body, ticket=job))
    assert known.body is not None
    assert "warnings" not in known.body


@pytest.mark.parametrize("word", ["door wont latch", "Door-Won't-Latch", "DOORWONTLATCH"])
def test_neither_case_nor_separators_hide_what_a_word_is_near_to(word: str) -> None:
    assert near_types(bundle(), word)[0] == "DOOR_WONT_LATCH"


def test_warnings_do_not_grow_with_what_was_sent() -> None:
    strange = [f"photo_after_latched_alignment_{number}" for number in range(100)]
    warnings = key_warnings(bundle(), "DOOR_WONT_LATCH", strange)
    assert len(warnings) == MOST_WARNINGS
    assert all(1 <= len(warning["near"]) <= MOST_NEAR for warning in warnings)
    assert key_warnings(bundle(), "DOOR_WONT_LATCH", ["a_picture_of_my_dog", None]) == ()
