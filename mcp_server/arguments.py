"""Arguments: what a tool's schema does not know is refused at the agents' door, and not dropped."""

from collections.abc import Mapping
from typing import Any

from policy.command.payload import named_faults, pointer
from policy.command.unknown import unknown_members
from policy.rules.bundle import Bundle, ToolRule
from policy.rules.vocabulary import type_warnings


def argument_error(
    bundle: Bundle, tool: str, rule: ToolRule, schema: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return what INVALID_REQUEST says of arguments that an agent must not send, if anything."""
    faults = [(pointer(*way), "is not known here") for way in unknown_members(schema, said)]
    kind = said.get("incident_type")
    judged = isinstance(kind, str) and bool(kind.strip()) and rule.mutating
    warnings = type_warnings(bundle, kind) if judged else ()
    faults += [("/incident_type", f"has no template; near: {near(warning)}")
               for warning in warnings]  # fmt: skip
    return {"tool_name": tool, **named_faults(faults)} if faults else None


def near(warning: Mapping[str, Any]) -> str:
    """Return the words that a warning names, as a list for a reader."""
    return ", ".join(warning["near"]) or "none"


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which every object with named members has no others, at any depth."""
    made = {name: _closed_member(member) for name, member in schema.items()}
    return {**made, "additionalProperties": False} if "properties" in schema else made


def _closed_member(member: Any) -> Any:  # noqa: ANN401  any part of a JSON Schema
    match member:
        case dict():
            return closed(member)
        case list():
            return [_closed_member(each) for each in member]
    return member
