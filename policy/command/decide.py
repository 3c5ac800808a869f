"""The one entry point of the policy: a command and its facts in, effects or a denial out."""

from typing import Any

from policy.autonomy.verdict import automation_denial
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.case import Case, CommandTool
from policy.command.effects import Decision, Denial
from policy.command.message import Command
from policy.command.payload import invalid_request, parse_payload
from policy.command.registry import command_tool
from policy.rules.bundle import Bundle
from policy.ticket.binding import binding_denial
from policy.ticket.facts import Facts


def decide(bundle: Bundle, facts: Facts, command: Command) -> Decision:
    """Return what `command` changes, or why it is denied (contract 3.1, steps 4 and 7 to 11).

    Pure: the time and new ids are facts. Role and payload are judged again although the gateway
    has judged them: whoever reaches the engine directly passes the same gate.
    """
    rule = bundle.commands.get(command.tool)
    if rule is None:
        return Denial(code=Code.UNKNOWN_TOOL, details={"tool_name": command.tool})
    if command.actor.actor_role not in rule.roles:
        return role_denial(bundle, command.tool, command.actor.actor_role)
    payload = parse_payload(bundle, command.tool, command.payload)
    if isinstance(payload, Denial):
        return payload
    tool = command_tool(command.tool)
    case = Case(bundle=bundle, rule=rule, command=command, facts=facts, payload=payload)
    denial = _ticket_denial(case) if rule.requires_ticket_id else _stray_denial(case)
    return denial or _state_denial(case, tool) or _autonomy_denial(case) or tool.decide(case)


def role_denial(bundle: Bundle, tool: str, role: str) -> Denial:
    """Return the denial of a role that may not use `tool`."""
    allowed = [str(each) for each in bundle.tools[tool].roles]
    details = {"actor_role": str(role), "allowed_roles": allowed}
    return Denial(code=Code.FORBIDDEN, details=details)


def _ticket_denial(case: Case[Any]) -> Denial | None:
    ticket, actor = case.facts.ticket, case.actor
    if ticket is None or ticket.tenant_id != actor.tenant_id:
        return Denial(code=Code.TICKET_NOT_FOUND)
    return scope_denial(actor, ticket.account_id, ticket.site_id) or binding_denial(
        actor, case.command.tool, ticket.assigned_tech_id
    )


def _stray_denial(case: Case[Any]) -> Denial | None:
    """Return the denial of a ticket that the tool is not about; the gateway sends none."""
    if case.command.ticket_id is None or case.rule.creates_ticket:
        return None
    return invalid_request(case.command.tool, [("/ticket_id", "the tool is not about a ticket")])


def _state_denial(case: Case[Any], tool: CommandTool[Any]) -> Denial | None:
    allowed = case.rule.from_states
    return None if allowed is None or case.ticket.state in allowed else tool.wrong_state(case)


def _autonomy_denial(case: Case[Any]) -> Denial | None:
    if not case.command.automated:
        return None
    facts = case.facts
    return automation_denial(case.bundle, case.command.tool, facts.autonomy, facts.ticket)
