"""What every command shares: exit codes, and the one way to the terminal.

It imports next to nothing, since each command waits for it.
"""

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer

from policy.printable import escaped, on_one_line, printable

PREFIX = "[dispatch]"
DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where the embedded stack keeps its data.")
]


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    DENIED = 2
    USAGE = 64


def say(message: str, *, end: str = "\n") -> None:
    """Print a message to the person at the terminal; stdout is for results."""
    typer.echo(printable(message) + end, err=True, nl=False)


def tell(result: str) -> None:
    """Print a result for people."""
    typer.echo(printable(result))


def tell_facts(facts: Mapping[str, object]) -> None:
    """Print a result of named values for people, each on a line of its own."""
    for name, value in facts.items():
        tell(on_one_line(f"{name}: {value}"))


def tell_json(document: object, *, indent: bool = True) -> None:
    """Print a result for programs."""
    option = orjson.OPT_INDENT_2 if indent else 0
    typer.echo(escaped(orjson.dumps(document, default=str, option=option).decode()))


def failed(message: str, *, prefix: str = PREFIX) -> typer.Exit:
    """Print why a command failed and return what to raise."""
    say(f"{prefix} {message}")
    return typer.Exit(Exit.FAILED)
