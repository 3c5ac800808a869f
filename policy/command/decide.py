"""The one entry point of the policy: a command and its facts in, effects or a denial out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy.codes import Code
from policy.command.case import Case, CommandTool
from policy.command.effects import Decision, Denial
from policy.command.facts import Facts
from policy.command.message import Command
from policy.command.payload import parse_payload
from policy.command.registry import command_tool
from policy.rules.bundle import Bundle
from policy.values import PayloadModel

Check = Callable[[Any, Any], Denial | None]
"""Judges a kind's own case, and the tool that will decide it, before the tool does."""


@dataclass(frozen=True)
class Judge:
    """How commands about one kind of subject are judged: their case, and the checks in order."""

    case: type[Case[Any, Any]]
    checks: tuple[Check, ...] = ()


def asked(bundle: Bundle, command: Command) -> PayloadModel | Denial:
    """Return what the command asks for, or why its tool or payload is not understood.

    A tool that this release does not know is denied, not waited for: the denial does not use up
    the key, so that the caller's next try reaches a worker of the newer release.
    """
    if command.tool not in bundle.commands:
        return unknown_tool(command.tool)
    return parse_payload(bundle, command.tool, command.payload)


def decide(
    bundle: Bundle, facts: Facts, command: Command, payload: PayloadModel | Denial, judge: Judge
) -> Decision:
    """Return what `command` changes, or why it is denied (contract 3.1, steps 4 and 7 to 11).

    Pure: the time and new ids are facts, `payload` is what `asked` returns. Role and payload are
    judged again although the gateway has judged them: whoever reaches the engine directly passes
    the same gate.
    """
    rule = bundle.commands.get(command.tool)
    if rule is not None and command.actor.actor_role not in rule.roles:
        return role_denial(bundle, command.tool, command.actor.actor_role)
    if rule is None or isinstance(payload, Denial):
        return payload if isinstance(payload, Denial) else unknown_tool(command.tool)
    tool: CommandTool[Any, Any] = command_tool(command.tool)
    case = judge.case(bundle=bundle, rule=rule, command=command, facts=facts, payload=payload)
    for check in judge.checks:
        denial = check(case, tool)
        if denial is not None:
            return denial
    return tool.decide(case)


def role_denial(bundle: Bundle, tool: str, role: str) -> Denial:
    """Return the denial of a role that may not use `tool`."""
    allowed = [str(each) for each in bundle.tools[tool].roles]
    details = {"actor_role": str(role), "allowed_roles": allowed}
    return Denial(code=Code.FORBIDDEN, details=details)


def unknown_tool(name: str) -> Denial:
    """Return the denial of a tool that this release does not know."""
    return Denial(code=Code.UNKNOWN_TOOL, details={"tool_name": name})
