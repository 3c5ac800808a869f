"""Every tool as a command, by its name: `dispatch ticket triage TICKET ...`, with its help."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from cli.groups import Group, example_lines
from cli.tools.options import fields_of
from cli.tools.toolset import Tool, load_toolset

# Where the name of a tool makes an awkward command.
PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"dispatcher.cockpit": ("cockpit",), "dispatch_contract_status": ("contract-status",)}
)
EXAMPLE_TICKET = "94c09184-0e2f-5232-9361-45479ec0e9e2"


def place_of(name: str) -> tuple[str, ...]:
    """Return the words of a tool's command: its name at the dots."""
    words = PLACES.get(name, tuple(name.split(".")))
    return tuple(word.replace("_", "-") for word in words)


@dataclass(frozen=True)
class ToolCommand:
    """The command of a tool."""

    tool: Tool

    @property
    def summary(self) -> str:
        """The tool's title."""
        return self.tool.title

    @property
    def help(self) -> str:
        """What the tool does, who may call it and from where."""
        lines = [self.tool.does, f"Roles: {', '.join(self.tool.roles)}."]
        if self.tool.from_states is not None:
            lines.append(f"From states: {', '.join(self.tool.from_states)}.")
        return "\n\n".join([*lines, f"Next: {self.tool.next}"])

    @property
    def epilog(self) -> str:
        """The examples."""
        return epilog_of(self.tool)

    def function(self) -> Callable[..., None]:
        """Return a function whose signature has the tool's options."""
        from cli.tools.commands import command_of  # noqa: PLC0415  only a call waits for it

        return command_of(self.tool)


def add_tools(root: Group) -> None:
    """Add a command per tool, in groups by noun, of which some may exist already."""
    for name, tool in load_toolset().tools.items():
        root.add(place_of(name), ToolCommand(tool))


def epilog_of(tool: Tool) -> str:
    """Return the examples of a tool's command."""
    start = ["dispatch", *place_of(tool.name), *([EXAMPLE_TICKET] if tool.takes_ticket else [])]
    plain, rest = [], {}
    for field in fields_of(tool.schema):
        if field.name in tool.example:
            if field.type is None:
                rest[field.name] = tool.example[field.name]
            else:
                plain += field.arguments(tool.example[field.name])
    by_data = ["--data", orjson.dumps(rest).decode()] if rest else []
    lines = [shlex.join([*start, *plain, *by_data])]
    lines += [shlex.join([*start, "--data", "@payload.json"])] if tool.mutating else []
    lines.append(shlex.join([*start, *plain, *by_data, "--as", tool.roles[0], "--json"]))
    return example_lines(lines)
