"""Every (tool, role, state) cell of the policy, exhaustively."""

from itertools import product
from typing import Any

import pytest

from policy.codes import Code
from policy.command.effects import Decision, Denial, Effects
from policy.model import Role, State
from policy.ticket.effects import TicketEffects
from tests.unit.facts_builder import (
    actor,
    allowed,
    bundle,
    command,
    decided,
    facts,
    hold,
    judge,
    ticket,
)
from tests.unit.payloads import COMPLETION, HOLD, TICKET, payload_for

COMMANDS = tuple(bundle().commands)
NO_TICKET = None
CELLS = tuple(product(Role, (*State, NO_TICKET)))
VERSION_KEPT = {
    *("assignment.recommend", "closeout.evidence_exception"),
    *("escalation.acknowledge", "escalation.snooze"),
    *("evidence.presign", "evidence.finalize", "closeout.add_evidence"),
}
WITHOUT_TICKET = {"ops.autonomy.pause", "ops.autonomy.rollback", "outbox.replay"}
HOLD_TOOLS = {
    "schedule.hold": "PENDING_CUSTOMER_CONFIRMATION",
    "schedule.release": "READY_TO_SCHEDULE",
    "schedule.rollback": "READY_TO_SCHEDULE",
}


def cell(tool: str, role: Role, state: State | None) -> Decision:
    known = facts(None if state is None else ticket(state))
    return decided(bundle(), known, command(tool, actor(role), payload_for(tool, role)))


def wrong_state(tool: str, role: Role, state: State) -> Denial:
    rule = bundle().tools[tool]
    if tool in HOLD_TOOLS:
        return Denial(
            code=Code.SCHEDULE_HOLD_STATE_CONFLICT,
            details={"from_state": state, "to_state": HOLD_TOOLS[tool], **ways_on(role, state)},
        )
    return Denial(
        code=Code.INVALID_STATE_TRANSITION,
        details={
            "from_state": state,
            "allowed_from_states": list(rule.from_states or ()),
            "to_state": rule.result_state,
            **ways_on(role, state),
        },
    )


def ways_on(role: Role, state: State) -> dict[str, Any]:
    rules = bundle().ways_on(state)
    mine = [name for name, rule in rules.items() if role in rule.roles]
    others = {each for name, rule in rules.items() if name not in mine for each in rule.roles}
    return {"next_tools": mine, "next_roles": sorted(others - {role})}


def test_the_toolset_has_the_size_of_the_contract() -> None:
    reads = [rule for rule in bundle().tools.values() if not rule.mutating]
    assert (len(COMMANDS), len(reads), len(Role), len(State)) == (37, 8, 11, 17)
    assert len(set(bundle().pairs)) == len(bundle().pairs) == 58


@pytest.mark.parametrize("tool", COMMANDS)
def test_every_cell_of_a_tool_is_decided_as_the_registry_says(tool: str) -> None:
    rule = bundle().tools[tool]
    for role, state in CELLS:
        decision = cell(tool, role, state)
        if role not in rule.roles:
            details = {"actor_role": role, "allowed_roles": list(rule.roles)}
            assert decision == Denial(code=Code.FORBIDDEN, details=details), (role, state)
        elif rule.requires_ticket_id and state is None:
            assert decision == Denial(code=Code.TICKET_NOT_FOUND), (role, state)
        elif state is not None and rule.from_states is not None and state not in rule.from_states:
            assert decision == wrong_state(tool, role, state), (role, state)
        else:
            assert isinstance(decision, Effects), (role, state, decision)
            assert_legal(tool, state, TicketEffects.of(decision))


def assert_legal(tool: str, state: State | None, effects: TicketEffects) -> None:
    """Every pair is in the table, they form a path, and the version follows the contract."""
    assert set(effects.pairs) <= set(bundle().pairs)
    if tool in WITHOUT_TICKET:
        assert (effects.ticket, effects.before, effects.pairs) == (None, None, ())
        return
    assert effects.ticket is not None
    creates = bundle().tools[tool].creates_ticket
    assert effects.before is (None if creates else state)
    place = effects.before
    for source, target in effects.pairs:
        assert source is place
        place = target
    assert effects.ticket.state is place
    version = 0 if creates else 7 if tool in VERSION_KEPT else 8
    assert effects.ticket.version == version


VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ticket.triage", {"priority": "URGENT", "incident_type": "X"}),
    ("ticket.triage", {"priority": "URGENT", "incident_type": "X", "requires_approval": True}),
    ("approval.decide", {"approval_id": str(ticket().id), "decision": "DENIED"}),
    ("dispatch.resume", {"resume_to": "READY_TO_SCHEDULE"}),
    ("ticket.blind_intake", payload_for("ticket.blind_intake", Role.AGENT)
     | {"identity_confidence": 1}),
)  # fmt: skip


def test_every_legal_pair_is_written_by_some_tool() -> None:
    seen = set()
    asked = [(tool, None) for tool in COMMANDS] + list(VARIANTS)
    for (tool, payload), state in product(asked, State):
        decision = judge(tool, state, payload)
        if isinstance(decision, TicketEffects):
            seen |= set(decision.pairs)
    for held in ("SCHEDULE_PROPOSED", "SCHEDULED"):
        body = {"confirmation_id": str(HOLD)}
        pending = State.PENDING_CUSTOMER_CONFIRMATION
        back = judge("schedule.rollback", pending, body, hold=hold(hold_state=held))
        seen |= set(allowed(back).pairs)
    seen |= approvals_back_to_scheduling()
    assert seen == set(bundle().pairs)


def approvals_back_to_scheduling() -> set[tuple[State | None, State]]:
    approval = facts(None).approval
    assert approval is not None
    older = approval.model_copy(update={"return_state": None})
    return set(allowed(judge("approval.decide", State.APPROVAL_REQUIRED, approval=older)).pairs)


def test_a_denial_for_the_role_comes_before_everything_else() -> None:
    decision = judge("ticket.triage", State.CLOSED, {}, actor(Role.FINANCE), ticket=None)
    assert isinstance(decision, Denial)
    assert decision.code is Code.FORBIDDEN


def test_a_bad_payload_comes_before_the_missing_ticket_and_the_state() -> None:
    decision = judge("tech.complete", State.CLOSED, {**COMPLETION, "checklist_status": 1})
    assert isinstance(decision, Denial)
    assert decision.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    "tool",
    [
        name
        for name, rule in bundle().commands.items()
        if not rule.requires_ticket_id and not rule.creates_ticket
    ],
)
def test_a_tool_that_is_not_about_a_ticket_refuses_one(tool: str) -> None:
    stray = command(tool).model_copy(update={"ticket_id": TICKET})
    decision = decided(bundle(), facts(ticket(State.NEW)), stray)
    assert isinstance(decision, Denial)
    assert decision.code is Code.INVALID_REQUEST
    assert isinstance(decided(bundle(), facts(None), command(tool)), Effects)
