"""Commands in groups, each imported when it is called or asked for its help, and not before."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import typer
from typer.core import TyperCommand, TyperGroup


class Command(Protocol):
    """One command: a line about it, and what it takes to run it or to show its help."""

    @property
    def summary(self) -> str:
        """One line for the list of commands."""

    @property
    def help(self) -> str | None:
        """The help text; None where the function's own docstring is it."""

    @property
    def epilog(self) -> str | None:
        """What the help ends with."""

    def function(self) -> Callable[..., None]:
        """Return the function whose signature has the options."""


@dataclass(frozen=True)
class Imported:
    """A command of a module of ours; `target` is `module:function`."""

    target: str
    summary: str
    examples: tuple[str, ...] = ()
    help: str | None = None

    @property
    def epilog(self) -> str | None:
        """The examples as the help shows them."""
        return example_lines(self.examples) if self.examples else None

    def function(self) -> Callable[..., None]:
        """Return the function; this imports its module."""
        module, _, name = self.target.partition(":")
        found: Callable[..., None] = getattr(import_module(module), name)
        return found


@dataclass(frozen=True)
class Group:
    """Commands and groups by name."""

    summary: str
    members: dict[str, "Command | Group"] = field(default_factory=dict)

    def add(self, place: tuple[str, ...], command: Command) -> None:
        """Add a command at its place, in groups that are made where there are none."""
        group, *below = self, *place[:-1]
        for depth, name in enumerate(below, start=1):
            nouns = ".".join(place[:depth])
            made = group.members.setdefault(name, Group(f"Call a tool named {nouns}.*"))
            if not isinstance(made, Group):
                raise TypeError(f"{nouns} is a command")
            group = made
        group.members[place[-1]] = command

    def walk(self, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
        """Yield every command with its place."""
        for name, member in self.members.items():
            if isinstance(member, Group):
                yield from member.walk((*place, name))
            else:
                yield (*place, name), member


class LazyGroup(TyperGroup):
    """A group that lists its members by their summaries alone."""

    group = Group("")

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  typer's own context
        """Return the names, in the order in which they were added."""
        return [*self.group.members]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ANN401, ARG002
        """Return a member, imported now; None if there is none of that name."""
        member = self.group.members.get(cmd_name)
        match member:
            case None:
                return None
            case Group():
                return as_group(cmd_name, member)
            case _:
                return _as_command(cmd_name, member)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """Write the members with their summaries, none of them cut."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.summary) for name, each in self.group.members.items()])


def lazy(group: Group) -> type[LazyGroup]:
    """Return the class of a `Typer` whose commands are those of `group`."""
    return type("LazyGroup", (LazyGroup,), {"group": group})


def as_group(name: str, group: Group) -> TyperGroup:
    """Return a group for the command line."""
    made = lazy(group)
    return made(name=name, help=group.summary, no_args_is_help=True, rich_markup_mode=None)


def _as_command(name: str, command: Command) -> TyperCommand:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, help=command.help, epilog=command.epilog)(command.function())
    made = typer.main.get_command(app)
    if not isinstance(made, TyperCommand):
        raise TypeError(f"{name} is not one command")
    return made


def example_lines(examples: Iterable[str]) -> str:
    """Return examples as help shows them, each on its line."""
    return "\n".join(["\b", "Examples:", *(f"  {each}" for each in examples)])
