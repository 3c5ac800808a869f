"""The catalogue: every tool of the closed set as an MCP tool, from registry and guide."""

from collections.abc import Mapping
from typing import Any

from mcp import types

from mcp_server.arguments import closed
from mcp_server.keys import WINDOWS
from mcp_server.tool_names import spoken
from policy.command.registry import alias
from policy.model import TERMINAL
from policy.reads.guide import Guide, described_schema, load_guide
from policy.rules.bundle import Bundle, ToolRule

TICKET_ID = {"type": "string", "format": "uuid", "description": "The ticket."}
OUTPUT = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "tool_name": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "data": {"type": "object"},
        "error": {"type": "object"},
        "advice": {"type": "string"},
    },
    "required": ["status"],
}


def catalog(bundle: Bundle) -> Mapping[str, types.Tool]:
    """Return the MCP tools by their names; these have `_` for `.`, which every client accepts."""
    guide = load_guide()
    return {alias(name): _tool(name, rule, guide) for name, rule in bundle.tools.items()}


def _tool(name: str, rule: ToolRule, guide: Guide) -> types.Tool:
    title = guide.tools[name].title
    return types.Tool(
        name=alias(name),
        title=title,
        description=_description(name, rule, guide),
        input_schema=_arguments(name, rule, guide),
        output_schema=OUTPUT,
        annotations=types.ToolAnnotations(
            title=title,
            read_only_hint=not rule.mutating,
            destructive_hint=rule.mutating and rule.result_state in TERMINAL,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _description(name: str, rule: ToolRule, guide: Guide) -> str:
    words = guide.tools[name]
    roles = f"Roles: {', '.join(rule.roles)}."
    lines = [words.does, " ".join([roles, *_states(rule)]), f"Next: {words.next}"]
    lines += [f"If {code}: {guide.advice[code]}" for code in words.codes]
    return spoken("\n".join(lines))


def _states(rule: ToolRule) -> list[str]:
    states = []
    if rule.from_states is not None:
        states.append(f"From states: {', '.join(rule.from_states)}.")
    if rule.result_state is not None:
        states.append(f"Result: {rule.result_state}.")
    return states


def _arguments(name: str, rule: ToolRule, guide: Guide) -> dict[str, Any]:
    """Return the schema of the arguments: ticket_id, the payload's fields, request_id."""
    payload = described_schema(name, rule)
    fields = {
        field: {**member, "description": spoken(member["description"])}
        for field, member in payload["properties"].items()
    }
    required = list(payload["required"])
    if rule.requires_ticket_id:
        fields, required = {"ticket_id": TICKET_ID, **fields}, ["ticket_id", *required]
    repeat = guide.tools[name].repeat
    if repeat is not None:
        window = WINDOWS[repeat]
        fields["request_id"] = {
            "type": "string",
            "format": "uuid",
            "description": f"A UUID of your own for this action; the same one to retry it. Without "
            f"it, an identical call within {window.words} counts as a retry.",
        }
    return closed({"type": "object", "properties": fields, "required": required})
