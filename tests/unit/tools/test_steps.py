"""Approvals and the single-step commands."""

from typing import Any
from uuid import UUID

import pytest

from policy.codes import Code
from policy.model import Role, State
from policy.ticket.facts import Approval, PastTransition
from policy.ticket.writes import CancelApprovals, DecideApproval, InsertApproval
from tests.unit.facts_builder import NOW, actor, allowed, bundle, denied, judge, ticket
from tests.unit.payloads import APPROVAL, NEW_IDS, PAYLOADS, TECH, TICKET

WAITING = State.APPROVAL_REQUIRED
DENY = {"approval_id": str(APPROVAL), "decision": "DENIED", "notes": "Too dear"}


def approval(status: str = "PENDING", return_state: str | None = None) -> Approval:
    return Approval(id=APPROVAL, status=status, return_state=return_state)


def test_a_change_asks_for_an_approval_that_leads_back_to_work() -> None:
    payload = {
        "approval_type": "NTE_INCREASE",
        "reason": " New strike ",
        "amount_delta_cents": 900,
        "evidence_refs": ["a"],
    }
    effects = allowed(judge("tech.request_change", State.IN_PROGRESS, payload))
    assert effects.writes == (
        InsertApproval(
            id=NEW_IDS[0],
            ticket_id=TICKET,
            requested_by="someone",
            requested_at=NOW,
            approval_type="NTE_INCREASE",
            amount_delta_cents=900,
            reason="New strike",
            evidence={
                "source": "tech.request_change",
                "return_state": "IN_PROGRESS",
                "evidence_refs": ["a"],
            },
        ),
    )
    assert effects.body is not None
    assert effects.body["approval"] == {
        "id": str(NEW_IDS[0]),
        "status": "PENDING",
        "approval_type": "NTE_INCREASE",
        "amount_delta_cents": 900,
        "reason": "New strike",
        "requested_at": "2026-11-20T12:00:00.000Z",
    }


LADDER: tuple[tuple[Approval | None, Code, dict[str, Any]], ...] = (
    (None, Code.APPROVAL_NOT_FOUND, {}),
    (approval("DENIED", "CLOSED"), Code.APPROVAL_NOT_PENDING, {}),
    (
        approval(return_state="CLOSED"),
        Code.INVALID_APPROVAL_TARGET_STATE,
        {"return_state": "CLOSED"},
    ),
)


@pytest.mark.parametrize(("found", "code", "details"), LADDER)
def test_an_approval_is_checked_in_order(
    found: Approval | None, code: Code, details: dict[str, Any]
) -> None:
    denial = denied(judge("approval.decide", WAITING, approval=found))
    assert (denial.code, dict(denial.details)) == (code, details)


@pytest.mark.parametrize(
    ("payload", "return_state", "target"),
    [
        (PAYLOADS["approval.decide"], None, State.READY_TO_SCHEDULE),
        (PAYLOADS["approval.decide"], "READY_TO_SCHEDULE", State.READY_TO_SCHEDULE),
        (PAYLOADS["approval.decide"], "IN_PROGRESS", State.IN_PROGRESS),
        (DENY, "IN_PROGRESS", State.TRIAGED),
        (DENY, "CLOSED", State.TRIAGED),
    ],
)
def test_a_decision_leads_back_to_where_the_request_came_from(
    payload: dict[str, Any], return_state: str | None, target: State
) -> None:
    found = approval(return_state=return_state)
    effects = allowed(judge("approval.decide", WAITING, payload, approval=found))
    assert effects.pairs == ((WAITING, target),)
    assert effects.audit["target_state"] == target
    assert effects.writes == (
        DecideApproval(
            id=APPROVAL,
            status=payload["decision"],
            decided_by="someone",
            decided_at=NOW,
            reason=payload.get("notes"),
        ),
    )


def test_cancelling_frees_everybody_and_ends_what_is_pending() -> None:
    effects = allowed(judge("ticket.cancel", State.DISPATCHED))
    assert effects.ticket is not None
    assert (effects.ticket.assigned_tech_id, effects.ticket.assigned_provider_id) == (None, None)
    cancelled = CancelApprovals(ticket_id=TICKET, decided_by="someone", decided_at=NOW)
    assert effects.writes == (cancelled,)


def test_a_forced_hold_keeps_assignment_and_schedule() -> None:
    payload = {"hold_reason": "CUSTOMER_PENDING", "reason": " Storm "}
    effects = allowed(judge("dispatch.force_hold", State.ON_SITE, payload))
    assert effects.ticket is not None
    assert effects.ticket.assigned_tech_id == TECH
    assert effects.ticket.scheduled_start is not None
    assert effects.audit == {"hold_reason": "CUSTOMER_PENDING", "reason": "Storm"}
    assert denied(judge("dispatch.force_hold", State.ON_SITE, {"hold_reason": "X"})).status == 400


def step(source: State, target: State) -> PastTransition:
    return PastTransition(from_state=source, to_state=target, occurred_at=NOW)


@pytest.mark.parametrize("target", [State.IN_PROGRESS, State.READY_TO_SCHEDULE])
def test_resuming_goes_on_or_starts_over(target: State) -> None:
    past = (
        step(State.DISPATCHED, State.ON_HOLD),
        step(State.ON_HOLD, State.IN_PROGRESS),
        step(State.IN_PROGRESS, State.ON_HOLD),
    )
    effects = allowed(
        judge("dispatch.resume", State.ON_HOLD, {"resume_to": target}, transitions=past)
    )
    assert effects.audit["held_from_state"] == "IN_PROGRESS"
    assert effects.ticket is not None
    goes_on = target is State.IN_PROGRESS
    assert (effects.ticket.assigned_tech_id is not None) is goes_on
    assert (effects.ticket.scheduled_start is not None) is goes_on
    assert (effects.ticket.scheduled_end is not None) is goes_on


def test_a_hold_of_unknown_origin_is_resumed_all_the_same() -> None:
    assert allowed(judge("dispatch.resume", State.ON_HOLD)).audit["held_from_state"] is None


@pytest.mark.parametrize("state", bundle().tools["dispatch.force_unassign"].from_states or ())
def test_an_unassigned_job_is_scheduled_and_keeps_its_time(state: State) -> None:
    effects = allowed(judge("dispatch.force_unassign", state))
    assert effects.pairs == (() if state is State.SCHEDULED else ((state, State.SCHEDULED),))
    assert effects.ticket is not None
    assert effects.ticket.version == 8
    assert effects.ticket.assigned_tech_id is None
    assert effects.ticket.scheduled_start is not None


@pytest.mark.parametrize(("state", "reversal"), [(State.VERIFIED, False), (State.INVOICED, True)])
def test_reopening_says_whether_an_invoice_is_reversed(state: State, reversal: object) -> None:
    effects = allowed(judge("reopen_after_verification", state))
    assert effects.audit["invoice_reversal"] is reversal


BOUND = ("tech.check_in", "tech.request_change", "tech.complete")


@pytest.mark.parametrize("tool", BOUND)
@pytest.mark.parametrize("assigned", [None, TECH])
def test_a_technician_acts_on_the_own_job_only(tool: str, assigned: UUID | None) -> None:
    state = (bundle().tools[tool].from_states or ())[0]
    job = ticket(state, assigned_tech_id=assigned)
    other = actor(Role.TECHNICIAN, technician_id=UUID(int=99))
    denial = denied(judge(tool, who=other, ticket=job))
    target = str(TECH) if assigned else None
    assert denial.code is Code.FORBIDDEN_SCOPE
    assert denial.details == {"scope_field": "technician_id", "target_id": target}


def test_an_unbound_technician_and_a_dispatcher_act_on_any_job() -> None:
    allowed(judge("tech.check_in", State.DISPATCHED, who=actor(Role.TECHNICIAN)))
    bound = actor(Role.DISPATCHER, technician_id=UUID(int=99))
    allowed(judge("tech.check_in", State.DISPATCHED, who=bound))
    own = actor(Role.TECHNICIAN, technician_id=TECH)
    allowed(judge("tech.check_in", State.DISPATCHED, who=own))


@pytest.mark.parametrize("limits", [{"account_ids": frozenset()}, {"site_ids": frozenset()}])
def test_an_empty_scope_reaches_no_ticket(limits: dict[str, Any]) -> None:
    denial = denied(judge("ticket.triage", who=actor(**limits)))
    assert (denial.code, denial.details) == (Code.FORBIDDEN_SCOPE, {})


def test_scope_is_checked_before_the_state() -> None:
    far = actor(site_ids=frozenset({UUID(int=99)}))
    denial = denied(judge("ticket.triage", State.CLOSED, who=far))
    assert denial.details == {"scope_field": "site_id", "target_id": str(ticket().site_id)}


def test_a_ticket_of_another_tenant_does_not_exist() -> None:
    denial = denied(judge("ticket.triage", who=actor(tenant_id="acme")))
    assert denial.code is Code.TICKET_NOT_FOUND
