"""Words: the guide's texts name tools with a dot, MCP lists them with an underscore."""

import re
from functools import cache

from policy.command.registry import alias
from policy.model import Role
from policy.reads.guide import load_guide
from policy.rules.bundle import Bundle


def spoken(text: str) -> str:
    """Return `text` with every tool under the name by which an MCP client calls it."""
    return _tool_names().sub(lambda match: alias(match[0]), text)


def within(text: str, role: Role | None, bundle: Bundle) -> str:
    """Return `text` so that a tool which the role may not call says whose it is."""

    def said(match: re.Match[str]) -> str:
        rule = bundle.tools.get(match[0])
        if rule is None or role is None or role in rule.roles:
            return alias(match[0])
        return f"{alias(match[0])} (for {', '.join(rule.roles)})"

    return _tool_names().sub(said, text)


@cache
def _tool_names() -> re.Pattern[str]:
    longest_first = sorted(load_guide().tools, key=len, reverse=True)
    return re.compile("|".join(rf"\b{re.escape(name)}\b" for name in longest_first))
