"""ticket.create, ticket.blind_intake, ticket.triage and ticket.request_info."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from policy.codes import Code
from policy.model import Site, State
from policy.ticket.facts import Duplicate
from policy.ticket.writes import InsertApproval
from tests.unit.facts_builder import NOW, actor, allowed, bundle, denied, judge, ticket
from tests.unit.payloads import ACCOUNT, INTAKE, NEW_IDS, PAYLOADS, SITE, TICKET

STRANGE = UUID(int=99)
CREATE = PAYLOADS["ticket.create"]
MOVED = Site(id=SITE, account_id=STRANGE)


def faults(tool: str, payload: dict[str, Any]) -> list[str]:
    """Return the pointers of what is wrong with a payload."""
    denial = denied(judge(tool, payload=payload))
    assert (denial.code, denial.details["tool_name"]) == (Code.INVALID_REQUEST, tool)
    return [error["path"] for error in denial.details["validation_errors"]]


def test_a_new_ticket_is_new_and_routine() -> None:
    payload = {**CREATE, "description": " as sent ", "nte_cents": 12.0, "priority": "EMERGENCY"}
    effects = allowed(judge("ticket.create", payload=payload))
    assert effects.ticket is not None
    assert (effects.ticket.id, effects.ticket.version) == (TICKET, 0)
    assert (effects.ticket.priority, effects.ticket.incident_type) == ("ROUTINE", None)
    assert (effects.ticket.description, effects.ticket.nte_cents) == (" as sent ", 12)
    assert effects.pairs == ((None, State.NEW),)


PLACE_LADDER: tuple[tuple[Code, dict[str, Any], dict[str, Any]], ...] = (
    (
        Code.FORBIDDEN_SCOPE,
        {"who": actor(account_ids=frozenset({STRANGE})), "account_exists": False},
        {"scope_field": "account_id", "target_id": str(ACCOUNT)},
    ),
    (Code.FORBIDDEN_SCOPE, {"who": actor(site_ids=frozenset())}, {}),
    (Code.ACCOUNT_NOT_FOUND, {"account_exists": False, "site": None}, {"account_id": str(ACCOUNT)}),
    (Code.SITE_NOT_FOUND, {"site": None}, {"site_id": str(SITE)}),
    (
        Code.SITE_ACCOUNT_MISMATCH,
        {"site": MOVED, "asset_site_id": None},
        {"account_id": str(ACCOUNT), "site_id": str(SITE)},
    ),
)


@pytest.mark.parametrize("tool", ["ticket.create", "ticket.blind_intake"])
@pytest.mark.parametrize(("code", "known", "details"), PLACE_LADDER)
def test_the_place_of_a_new_ticket_is_checked_in_order(
    tool: str, code: Code, known: dict[str, Any], details: dict[str, Any]
) -> None:
    denial = denied(judge(tool, payload={**PAYLOADS[tool], "asset_id": str(STRANGE)}, **known))
    assert (denial.code, dict(denial.details)) == (code, details)


@pytest.mark.parametrize("asset_site_id", [None, STRANGE])
def test_an_asset_must_stand_at_the_site(asset_site_id: UUID | None) -> None:
    payload = {**CREATE, "asset_id": str(STRANGE)}
    denial = denied(judge("ticket.create", payload=payload, asset_site_id=asset_site_id))
    assert (denial.code, denial.details) == (Code.ASSET_NOT_FOUND, {"asset_id": str(STRANGE)})


def test_a_payload_names_every_fault_at_once() -> None:
    payload = {"account_id": "x", "summary": None, "nte_cents": 0.5}
    assert faults("ticket.create", payload) == ["/account_id", "/site_id", "/summary", "/nte_cents"]


def test_a_nul_character_is_refused_wherever_it_stands() -> None:
    payload = {**CREATE, "extra": [{"a/b": "x\0"}]}
    assert faults("ticket.create", payload) == ["/extra/0/a~1b"]


def test_null_counts_as_missing_where_a_field_is_optional() -> None:
    allowed(judge("ticket.create", payload={**CREATE, "nte_cents": None, "asset_id": None}))


def test_an_intake_is_known_by_what_it_says_however_it_is_spelt() -> None:
    shouted = {
        **INTAKE,
        "account_id": str(ACCOUNT).upper(),
        "summary": " DOOR does not latch ",
        "incident_type": "door_wont_latch",
        "customer_name": "ADA",
        "contact_phone": "15550100",
    }
    signatures = {
        allowed(judge("ticket.blind_intake", payload=payload)).audit["identity_signature"]
        for payload in (INTAKE, shouted)
    }
    assert len(signatures) == 1
    other = allowed(judge("ticket.blind_intake", payload={**INTAKE, "contact_phone": "5550101"}))
    assert other.audit["identity_signature"] not in signatures


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, []),
        ({"identity_confidence": 84.9}, ["IDENTITY_CONFIDENCE"]),
        ({"identity_confidence": 85, "classification_confidence": 85}, []),
        (
            {
                "identity_confidence": 0,
                "classification_confidence": 84,
                "sop_handoff_acknowledged": False,
            },
            ["IDENTITY_CONFIDENCE", "CLASSIFICATION_CONFIDENCE", "SOP_HANDOFF_REQUIRED"],
        ),
        ({"sop_handoff_acknowledged": None}, ["SOP_HANDOFF_REQUIRED"]),
    ],
)
def test_an_intake_is_ready_unless_something_is_doubtful(
    fields: dict[str, Any], reasons: list[str]
) -> None:
    effects = allowed(judge("ticket.blind_intake", payload={**INTAKE, **fields}))
    target = State.TRIAGED if reasons else State.READY_TO_SCHEDULE
    assert effects.audit["readiness"] == {"ready": not reasons, "readiness_reasons": reasons}
    assert effects.audit["state_recommendation"] == target
    assert effects.pairs == ((None, target),)
    assert effects.ticket is not None
    assert effects.ticket.sop_handoff_required is bool(reasons)
    assert effects.ticket.sop_handoff_acknowledged is not bool(reasons)
    prompt = bundle().intake.sop_handoff_prompt if reasons else None
    assert effects.ticket.sop_handoff_prompt == prompt


@pytest.mark.parametrize(
    ("age", "refused"),
    [(timedelta(minutes=120), True), (timedelta(minutes=120, milliseconds=1), False)],
)
def test_a_duplicate_counts_within_its_window(age: timedelta, refused: bool) -> None:  # noqa: FBT001
    earlier = Duplicate(id=STRANGE, state=State.TRIAGED, created_at=NOW - age)
    decision = judge("ticket.blind_intake", duplicate=earlier)
    if not refused:
        allowed(decision)
        return
    details = denied(decision).details
    assert details["duplicate_ticket_id"] == str(STRANGE)
    assert details["duplicate_created_at"] == "2026-11-20T10:00:00.000Z"
    assert details["duplicate_within_minutes"] == 120


def test_an_intake_without_a_contact_channel_is_refused_before_its_scope_is_checked() -> None:
    payload = {name: value for name, value in INTAKE.items() if name != "contact_phone"}
    who = actor(account_ids=frozenset())
    denial = denied(judge("ticket.blind_intake", payload=payload, who=who))
    assert (denial.code, denial.status) == (Code.BLIND_INTAKE_VALIDATION_FAILED, 400)
    assert denial.details == {"missing_contact_channel": True}
    allowed(judge("ticket.blind_intake", payload={**payload, "contact_email": "A@b.Example"}))


@pytest.mark.parametrize("phone", ["555-010", "1" * 17, "", 5550100, "no digits"])
def test_a_telephone_number_has_seven_to_sixteen_digits(phone: object) -> None:
    assert faults("ticket.blind_intake", {**INTAKE, "contact_phone": phone}) == ["/contact_phone"]


@pytest.mark.parametrize(
    "email", ["a@b", "a.b", "a@@b.c", "a b@c.d", "@b.c", "a@b." + "c" * 200, 7]
)
def test_an_email_address_has_one_at_and_a_dotted_domain(email: object) -> None:
    assert faults("ticket.blind_intake", {**INTAKE, "contact_email": email}) == ["/contact_email"]


TRIAGE = {"priority": "URGENT", "incident_type": "Door"}


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ({}, State.TRIAGED),
        ({"ready_to_schedule": True}, State.READY_TO_SCHEDULE),
        ({"ready_to_schedule": False}, State.TRIAGED),
        ({"ready_to_schedule": True, "requires_approval": True}, State.APPROVAL_REQUIRED),
        ({"requires_approval": True, "workflow_outcome": "TRIAGED"}, State.TRIAGED),
        ({"workflow_outcome": "READY_TO_SCHEDULE"}, State.READY_TO_SCHEDULE),
    ],
)
@pytest.mark.parametrize("state", [State.NEW, State.NEEDS_INFO, State.TRIAGED])
def test_triage_leads_where_its_payload_says(
    state: State, asked: dict[str, Any], target: State
) -> None:
    decision = judge("ticket.triage", state, {**TRIAGE, **asked})
    if state is target is State.TRIAGED:
        denial = denied(decision)
        assert denial.code is Code.INVALID_STATE_TRANSITION
        assert denial.details["to_state"] == "TRIAGED"
        return
    effects = allowed(decision)
    through = () if State.TRIAGED in {state, target} else (State.TRIAGED,)
    path = (state, *through, target)
    assert [effects.pairs[0][0], *(pair[1] for pair in effects.pairs)] == list(path)
    assert effects.audit["workflow_outcome"] == target


def test_triage_keeps_the_case_of_the_type_and_an_absent_limit() -> None:
    effects = allowed(judge("ticket.triage", payload=TRIAGE, ticket=ticket(nte_cents=500)))
    assert effects.ticket is not None
    assert (effects.ticket.incident_type, effects.ticket.nte_cents) == ("Door", 500)
    none = allowed(judge("ticket.triage", payload={**TRIAGE, "nte_cents": 0}))
    assert none.ticket is not None
    assert none.ticket.nte_cents == 0


def test_triage_towards_approval_asks_for_it() -> None:
    payload = {**TRIAGE, "requires_approval": True, "approval_amount_delta_cents": 5}
    effects = allowed(judge("ticket.triage", payload=payload))
    assert effects.writes == (
        InsertApproval(
            id=NEW_IDS[0],
            ticket_id=TICKET,
            requested_by="someone",
            requested_at=NOW,
            approval_type="NTE_INCREASE",
            amount_delta_cents=5,
            reason="TRIAGE_REQUIRES_APPROVAL",
            evidence={"source": "ticket.triage", "return_state": "READY_TO_SCHEDULE"},
        ),
    )


def test_questions_are_asked_and_answered_back() -> None:
    effects = allowed(judge("ticket.request_info", payload={"questions": [" a ", "b"]}))
    assert effects.body is not None
    assert effects.body["questions"] == effects.audit["questions"] == ["a", "b"]
    assert faults("ticket.request_info", {"questions": []}) == ["/questions"]
    assert faults("ticket.request_info", {"questions": ["a"] * 21}) == ["/questions"]
    assert faults("ticket.request_info", {"questions": ["a", " "]}) == ["/questions/1"]
