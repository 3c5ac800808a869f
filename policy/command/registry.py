"""The tool registry: each command of the bundle and the module with its rules.

The module of `ticket.triage` is `policy/tools/ticket/triage.py`, and it defines `TOOL`.
"""

from functools import cache
from importlib import import_module
from typing import Any

from policy.command.case import CommandTool


def alias(name: str) -> str:
    """Return the underscore form of a tool's name."""
    return name.replace(".", "_")


@cache
def command_tool(name: str) -> CommandTool[Any, Any]:
    """Return the rules of a command, which the bundle must know; else a name could be any path."""
    tool = import_module(f"policy.tools.{name}").TOOL
    if not isinstance(tool, CommandTool):
        raise TypeError(f"policy.tools.{name}.TOOL is no CommandTool")
    return tool
