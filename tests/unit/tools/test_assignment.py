"""assignment.dispatch: its checks in order, the bypass, the message."""

from typing import Any
from uuid import UUID

import pytest

from policy.assignment.ranking import normalised_service, service_type_of
from policy.canonical import sha256_hex
from policy.codes import Code
from policy.delivery.rows import InsertOutbox
from policy.model import State
from policy.ticket.facts import Snapshot
from tests.unit.facts_builder import allowed, denied, judge, technician, ticket
from tests.unit.payloads import TECH, TICKET

OTHER, SNAPSHOT = UUID(int=90), UUID(int=91)
BYPASS = {
    "tech_id": str(TECH),
    "dispatch_mode": "EMERGENCY_BYPASS",
    "dispatch_rationale": " The shop stands open ",
    "dispatch_confirmation": True,
}
STANDARD = {"tech_id": str(TECH), "dispatch_mode": "STANDARD"}
NAMED = {**STANDARD, "recommendation_snapshot_id": str(SNAPSHOT)}
SNAPSHOT_ID = {"recommendation_snapshot_id": str(SNAPSHOT)}
TECH_ID = {"tech_id": str(TECH)}


def missing(*fields: str) -> dict[str, Any]:
    return {
        "dispatch_mode": "EMERGENCY_BYPASS",
        "required_confirmation": True,
        "missing_fields": [
            {"field": field, "reason": "required for an emergency bypass"} for field in fields
        ],
    }


LADDER: tuple[tuple[str, Code, dict[str, Any], dict[str, Any], dict[str, Any]], ...] = (
    (
        "a",
        Code.INVALID_STATE_TRANSITION,
        TECH_ID,
        {"technician": None},
        {
            "from_state": "TRIAGED",
            "to_state": "DISPATCHED",
            "allowed_from_states": ["SCHEDULED"],
            "allowed_dispatch_modes": ["STANDARD", "EMERGENCY_BYPASS"],
            "next_tools": [
                *("ticket.triage", "ticket.request_info", "schedule.propose"),
                "assignment.dispatch",
            ],
            "next_roles": [],
        },
    ),
    (
        "b",
        Code.ASSIGNMENT_BYPASS_DENIED,
        {**TECH_ID, "dispatch_mode": "EMERGENCY_BYPASS", "dispatch_rationale": "  "},
        {"incident_type": None},
        missing("dispatch_rationale", "dispatch_confirmation"),
    ),
    (
        "b",
        Code.ASSIGNMENT_BYPASS_DENIED,
        {**BYPASS, "dispatch_confirmation": None},
        {},
        missing("dispatch_confirmation"),
    ),
    (
        "c",
        Code.ASSIGNMENT_BYPASS_DENIED,
        {**BYPASS, "dispatch_confirmation": False},
        {"incident_type": None},
        {
            "dispatch_mode": "EMERGENCY_BYPASS",
            "dispatch_rationale": "The shop stands open",
            "required_confirmation": True,
        },
    ),
    (
        "d",
        Code.ASSIGNMENT_BYPASS_DENIED,
        BYPASS,
        {"incident_type": " ", "pending_approvals": (OTHER,)},
        {"dispatch_mode": "EMERGENCY_BYPASS"},
    ),
    (
        "e",
        Code.ASSIGNMENT_BYPASS_DENIED,
        BYPASS,
        {"pending_approvals": (OTHER,), "technician": None},
        {
            "dispatch_mode": "EMERGENCY_BYPASS",
            "incident_type": "DOOR_WONT_LATCH",
            "open_approvals": [str(OTHER)],
        },
    ),
    ("g", Code.ASSIGNMENT_NOT_FOUND, NAMED, {"technician": None}, SNAPSHOT_ID),
    (
        "h",
        Code.ASSIGNMENT_NOT_FOUND,
        STANDARD,
        {"technician": None},
        {**TECH_ID, "recommendation_snapshot_id": None},
    ),
    (
        "i",
        Code.TECH_UNAVAILABLE,
        NAMED,
        {"technician": technician(active=False), "recommended": OTHER},
        TECH_ID,
    ),
    (
        "j",
        Code.ASSIGNMENT_RECOMMENDATION_MISMATCH,
        NAMED,
        {"technician": technician(skills=()), "recommended": OTHER},
        {**SNAPSHOT_ID, "recommended_tech_id": str(OTHER), **TECH_ID},
    ),
    (
        "k",
        Code.ASSIGNMENT_CAPABILITY_MISMATCH,
        NAMED,
        {"technician": technician(skills=("GLASS",), home_region="TX"), "recommended": TECH},
        {**TECH_ID, "service_type": "DOOR_WONT_LATCH", **SNAPSHOT_ID},
    ),
    (
        "l",
        Code.ASSIGNMENT_ZONE_MISMATCH,
        STANDARD,
        {"technician": technician(home_region="TX", regions=("NV",))},
        {**TECH_ID, "ticket_region": "CA", "recommendation_snapshot_id": None},
    ),
)


@pytest.mark.parametrize(("check", "code", "payload", "known", "details"), LADDER)
def test_a_dispatch_is_checked_in_the_order_of_the_contract(
    check: str, code: Code, payload: dict[str, Any], known: dict[str, Any], details: dict[str, Any]
) -> None:
    given = dict(known)
    columns = {"incident_type": given.pop("incident_type")} if "incident_type" in given else {}
    if "recommended" in given:
        recommended = given.pop("recommended")
        given["snapshot"] = Snapshot(
            recommendation_snapshot_id=SNAPSHOT, recommended_tech_id=recommended
        )
    job = ticket(State.TRIAGED, **columns)
    denial = denied(judge("assignment.dispatch", payload=payload, ticket=job, **given))
    assert (denial.code, dict(denial.details)) == (code, details), check


def test_a_bypass_skips_the_guard() -> None:
    doubtful = ticket(State.TRIAGED, identity_signature="x", identity_confidence=1)
    effects = allowed(judge("assignment.dispatch", payload=BYPASS, ticket=doubtful))
    assert effects.pairs == ((State.TRIAGED, State.DISPATCHED),)
    assert effects.audit["dispatch_validation"] == {
        "tech_id": str(TECH),
        "selected_service_type": "DOOR_WONT_LATCH",
        "recommendation_snapshot_id": None,
        "matched_capability": True,
        "matched_zone": True,
        "bypass_used": True,
        "bypass_mode": "EMERGENCY_BYPASS",
        "dispatch_confirmation": True,
        "dispatch_rationale": "The shop stands open",
    }


def test_a_dispatch_sends_one_message_per_ticket_version() -> None:
    job = ticket(State.SCHEDULED, assigned_provider_id=OTHER)
    effects = allowed(judge("assignment.dispatch", payload=TECH_ID, ticket=job))
    assert effects.ticket is not None
    assert effects.ticket.assigned_provider_id is None
    (message,) = effects.writes
    assert isinstance(message, InsertOutbox)
    fields = {
        "ticket_id": str(TICKET),
        "event_type": "assignment.dispatch.sms",
        "from_state": "SCHEDULED",
        "to_state": "DISPATCHED",
        "dispatch_mode": None,
        "tech_id": str(TECH),
        "provider_id": None,
        "requires_ready_to_schedule_stage": False,
    }
    transition = f"{TICKET}:assignment.dispatch.sms:{sha256_hex(dict(fields))}"
    assert message.idempotency_key == f"{TICKET}:assignment.dispatch.sms:{transition}:8"
    validation = effects.audit["dispatch_validation"]
    assert "dispatch_rationale" not in validation
    assert (validation["dispatch_confirmation"], validation["bypass_mode"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "service"),
    [(" door_v12 ", "DOOR"), ("DOOR_V", "DOOR_V"), ("a_v1_V2", "A_V1"), ("_v1", ""), (None, "")],
)
def test_a_service_type_loses_its_version(text: str | None, service: str) -> None:
    assert normalised_service(text) == service


@pytest.mark.parametrize(
    ("incident_type", "summary", "service"),
    [("door_v1", "x", "DOOR"), (" ", "Broken glass", "BROKEN GLASS"), (None, "_V1", "DEFAULT")],
)
def test_the_service_type_falls_back_to_summary_and_default(
    incident_type: str | None, summary: str, service: str
) -> None:
    assert service_type_of(ticket(incident_type=incident_type, summary=summary)) == service
