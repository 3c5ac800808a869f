"""What every command shares: exit codes, messages, and where the running stack is found."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import orjson
import structlog
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from structlog.typing import EventDict, WrappedLogger

from policy.printable import escaped, on_one_line, printable
from policy.rules.bundle import BundleError
from runtime.environment import ConfigurationError
from runtime.postgres.bootstrap import BootstrapError
from runtime.postgres.pool import DatabaseError
from runtime.settings import Settings, load_settings
from runtime.stack import DEFAULT_DATA_DIR, StackError, read_client

PREFIX = "[dispatch]"
Result = TypeVar("Result")
DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where the embedded stack keeps its data.")
]
FAILURES = (
    BootstrapError,
    BundleError,
    ConfigurationError,
    DatabaseError,
    OSError,
    StackError,
    asyncpg.PostgresError,
)


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    DENIED = 2
    USAGE = 64


class Terminal(Console):
    """A console that lets no text of others steer it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is shown; styles are ours, texts are not."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


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


def say_records() -> None:
    """Let the log records of what a command calls go to the terminal, for people."""
    *prepared, rendered = structlog.get_config()["processors"]
    structlog.configure(
        processors=[*prepared, _printable, rendered],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _printable(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    texts = {name: on_one_line(text) for name, text in fields.items() if isinstance(text, str)}
    return {**fields, **texts}


def run(work: Coroutine[None, None, Result], *, prefix: str = PREFIX) -> Result:
    """Run a command's work. A failure is printed, without a traceback, and ends the command."""
    try:
        return asyncio.run(work)
    except FAILURES as failure:
        raise failed(str(failure) or type(failure).__name__, prefix=prefix) from None


def failed(message: str, *, prefix: str = PREFIX) -> typer.Exit:
    """Print why a command failed and return what to raise."""
    say(f"{prefix} {message}")
    return typer.Exit(Exit.FAILED)


def environment(data_dir: Path = DEFAULT_DATA_DIR) -> Mapping[str, str]:
    """Return the environment, completed by the stack that runs in the data folder, if one does."""
    client = read_client(data_dir)
    return {**(client.env if client else {}), **os.environ}


def owner_database_url(data_dir: Path = DEFAULT_DATA_DIR) -> str | None:
    """Return the migrations' login: the environment's, else the running stack's."""
    client = read_client(data_dir)
    running = client.owner_database_url if client else None
    return os.environ.get("DISPATCH_DATABASE_URL") or running


def settings(data_dir: Path = DEFAULT_DATA_DIR) -> Settings:
    """Return the settings of `environment`; warnings go to the terminal."""
    try:
        found, warnings = load_settings(environment(data_dir))
    except ConfigurationError as failure:
        raise failed(str(failure)) from None
    for warning in warnings:
        say(f"{PREFIX} warning: {warning}")
    return found
