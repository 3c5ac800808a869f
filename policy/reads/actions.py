"""What an actor may do next with a ticket, and exactly why not (contract 10.2, 10.3)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from policy.codes import CODES, Code
from policy.command.effects import Denial
from policy.model import Role, State
from policy.rules.bundle import Bundle, ToolRule

TICKET_ID = "{ticketId}"
_NOTHING: Mapping[str, Any] = MappingProxyType({})
COCKPIT_ACTIONS = {
    "schedule_propose": "schedule.propose",
    "schedule_confirm": "schedule.confirm",
    "dispatch_assignment": "assignment.dispatch",
    "hold_schedule": "schedule.hold",
    "release_schedule": "schedule.release",
    "rollback_schedule": "schedule.rollback",
    "open_timeline": "ticket.timeline",
    "open_technician_packet": "tech.job_packet",
    "force_hold": "dispatch.force_hold",
    "force_unassign": "dispatch.force_unassign",
    "manual_bypass": "dispatch.manual_bypass",
    "reopen_after_verification": "reopen_after_verification",
    "evidence_exception": "closeout.evidence_exception",
    "ticket_close": "ticket.close",
    "ticket_force_close": "ticket.force_close",
    "ticket_cancel": "ticket.cancel",
}
COCKPIT_MORE_ACTIONS = {"request_info": "ticket.request_info", "resume": "dispatch.resume"}
PACKET_ACTIONS = {
    "check_in": "tech.check_in",
    "add_evidence": "closeout.add_evidence",
    "request_change": "tech.request_change",
    "candidate": "closeout.candidate",
    "complete_work": "tech.complete",
    "open_timeline": "ticket.timeline",
    "open_evidence": "closeout.list_evidence",
}
PACKET_MORE_ACTIONS = {
    "presign_evidence": "evidence.presign",
    "finalize_evidence": "evidence.finalize",
}


class Situation(NamedTuple):
    """Who looks at a ticket, and in which state it is. An id of TICKET_ID makes a template.

    `obstacles` are further causes by tool, the first of each coming first.
    """

    role: Role
    state: State
    ticket_id: str = TICKET_ID
    obstacles: Mapping[str, Sequence[Denial]] = _NOTHING


def actions_of(
    bundle: Bundle, tools: Mapping[str, str], situation: Situation
) -> list[dict[str, Any]]:
    """Return the action of each tool, `tools` being names by action id."""
    return [
        _action(action_id, name, bundle.tools[name], situation) for action_id, name in tools.items()
    ]


def _action(action_id: str, name: str, rule: ToolRule, situation: Situation) -> dict[str, Any]:
    error = _policy_error(name, rule, situation)
    return {
        "action_id": action_id,
        "tool_name": name,
        "endpoint": rule.route.replace(TICKET_ID, situation.ticket_id),
        "method": rule.method,
        "mutating": rule.mutating,
        "enabled": error is None,
        "policy_error": error,
    }


def _policy_error(name: str, rule: ToolRule, situation: Situation) -> dict[str, Any] | None:
    if situation.role not in rule.roles:
        return _error(
            Code.FORBIDDEN,
            actor_role=situation.role.value,
            allowed_roles=[role.value for role in rule.roles],
        )
    if rule.from_states is not None and situation.state not in rule.from_states:
        return _error(
            Code.INVALID_STATE_TRANSITION,
            from_state=situation.state.value,
            allowed_from_states=[state.value for state in rule.from_states],
            to_state=None if rule.result_state is None else rule.result_state.value,
        )
    for denial in situation.obstacles.get(name, ()):
        return _error(denial.code, **denial.details)
    return None


def _error(code: Code, **details: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    spec = CODES[code]
    return {
        "code": code.value,
        "message": spec.message,
        "dimension": spec.dimension,
        **{name: value for name, value in details.items() if name != "dimension"},
    }
