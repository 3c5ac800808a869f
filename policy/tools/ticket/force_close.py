"""ticket.force_close (contract 7.12)."""

from typing import Annotated

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from policy.closeout.closing import NEEDS, closed, closing_gate
from policy.closeout.gate import MANUAL_BYPASS, GateResult, reference_gate
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.ticket.case import TicketCase, TicketTool
from policy.values import Name, PayloadModel, Text

CODE_LENGTH = 5
REASON_LENGTH = 20
APPROVER_ROLES = ("dispatcher", "approver")


def _at_least(field: str, length: int) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and len(value.strip()) < length:
            extras = {"field": field, "min_length": length}
            message = f"must have at least {length} characters"
            raise PydanticCustomError(
                "too_short", "{message}", {"message": message, "extras": extras}
            )
        return value

    return BeforeValidator(check)


def _approver_role(value: object) -> str:
    if value not in APPROVER_ROLES:
        message = f"must be one of {', '.join(APPROVER_ROLES)}"
        extras = {"approver_role": value}
        raise PydanticCustomError(
            "approver_role", "{message}", {"message": message, "extras": extras}
        )
    return str(value)


class Payload(PayloadModel):
    """By which code, why and in which role the closing is forced."""

    override_code: Annotated[Name, _at_least("override_code", CODE_LENGTH)]
    override_reason: Annotated[Text, _at_least("override_reason", REASON_LENGTH)]
    approver_role: Annotated[
        str, PlainValidator(_approver_role), WithJsonSchema({"enum": list(APPROVER_ROLES)})
    ]


def decide(case: TicketCase[Payload]) -> Decision:
    """Close without verification; only a manual bypass is spared the gate."""
    payload, actor_role = case.payload, case.actor.actor_role.value
    if payload.approver_role != actor_role:
        details = {"approver_role": payload.approver_role, "actor_role": actor_role}
        return Denial(code=Code.FORBIDDEN, details=details)
    gate = closing_gate(case)
    obstacle = _obstacle(case, gate)
    if obstacle is not None:
        return obstacle
    override = {
        "override_code": payload.override_code,
        "approver_role": payload.approver_role,
    }
    flags = {
        "closeout_override_code": None,
        **override,
        "override_reason": payload.override_reason,
        "policy_override": True,
    }
    audit = {
        "reason": payload.override_reason,
        **override,
        "policy_override": True,
        "invoice_reversal": False,
        "closeout_check": gate.shape(),
        "gate_waived": not gate.ready,
    }
    return closed(case, gate, payload.override_reason, flags, audit)


def _obstacle(case: TicketCase[Payload], gate: GateResult) -> Denial | None:
    """Return what still refuses: the gate, or after a manual bypass invalid references alone."""
    context = case.facts.completion
    judged = gate
    if context is not None and context.tool_name == MANUAL_BYPASS:
        judged = reference_gate(case.bundle, case.facts)
    return None if judged.ready else judged.denial()


TOOL = TicketTool(payload=Payload, decide=decide, needs=NEEDS)
