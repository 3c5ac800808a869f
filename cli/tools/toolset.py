"""The toolset as the terminal needs it: read from a file that is made from the registry.

The registry's payloads take half a second to import, which each command would wait for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

FILE: Final = "toolset.json"


@dataclass(frozen=True)
class Tool:
    """One tool: what it does in words, who may call it, and the JSON Schema of its payload."""

    name: str
    title: str
    does: str
    next: str
    roles: tuple[str, ...]
    from_states: tuple[str, ...] | None
    mutating: bool
    takes_ticket: bool
    schema: Mapping[str, Any]
    example: Mapping[str, Any]

    @property
    def alias(self) -> str:
        """The name in the route of a call."""
        return self.name.replace(".", "_")


@dataclass(frozen=True)
class Toolset:
    """All of it: the tools by name, the known roles, and advice by error code."""

    tools: Mapping[str, Tool]
    roles: tuple[str, ...]
    advice: Mapping[str, str]


@cache
def load_toolset() -> Toolset:
    """Return the shipped toolset."""
    document = orjson.loads((files("cli.tools") / FILE).read_bytes())
    return Toolset(
        {name: Tool(name, **tool) for name, tool in document["tools"].items()},
        tuple(document["roles"]),
        document["advice"],
    )
