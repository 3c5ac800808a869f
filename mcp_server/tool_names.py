"""Words: the guide's texts name tools with a dot, MCP lists them with an underscore."""

import re
from functools import cache

from policy.command.registry import alias
from policy.reads.guide import load_guide


def spoken(text: str) -> str:
    """Return `text` with every tool under the name by which an MCP client calls it."""
    return _tool_names().sub(lambda match: alias(match[0]), text)


@cache
def _tool_names() -> re.Pattern[str]:
    longest_first = sorted(load_guide().tools, key=len, reverse=True)
    return re.compile("|".join(rf"\b{re.escape(name)}\b" for name in longest_first))
