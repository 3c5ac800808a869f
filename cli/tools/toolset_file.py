"""`make docs` writes `cli/tools/toolset.json` with this: the registry as the terminal needs it."""

import sys
from typing import Any

import orjson

from policy.model import Role
from policy.reads.guide import ToolGuide, described_schema, load_guide
from policy.rules.bundle import ToolRule, load_bundle


def toolset_file() -> bytes:
    """Return the file's contents, as indented JSON that changes line by line."""
    guide = load_guide()
    tools = {
        name: _tool(name, rule, guide.tools[name]) for name, rule in load_bundle().tools.items()
    }
    document = {"roles": list(Role), "advice": dict(guide.advice), "tools": tools}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _tool(name: str, rule: ToolRule, guide: ToolGuide) -> dict[str, Any]:
    return {
        "title": guide.title,
        "does": guide.does,
        "next": guide.next,
        "roles": rule.roles,
        "from_states": rule.from_states,
        "mutating": rule.mutating,
        "takes_ticket": rule.requires_ticket_id,
        "schema": described_schema(name, rule),
        "example": dict(guide.example),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(toolset_file())
