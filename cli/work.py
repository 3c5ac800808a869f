"""What the commands share that work on an installation: its settings, and how failures end them."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import asyncpg
import structlog
from structlog.typing import EventDict, WrappedLogger

from cli.caller import environment
from cli.output import PREFIX, failed, say
from policy.printable import on_one_line
from policy.rules.bundle import BundleError
from runtime.client import DEFAULT_DATA_DIR, StackError
from runtime.environment import ConfigurationError
from runtime.postgres.bootstrap import BootstrapError
from runtime.postgres.pool import DatabaseError
from runtime.settings import Settings, load_settings

Result = TypeVar("Result")
FAILURES = (
    BootstrapError,
    BundleError,
    ConfigurationError,
    DatabaseError,
    OSError,
    StackError,
    asyncpg.PostgresError,
)


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


def settings(data_dir: Path = DEFAULT_DATA_DIR) -> Settings:
    """Return the settings of `environment`; warnings go to the terminal."""
    try:
        found, warnings = load_settings(environment(data_dir))
    except ConfigurationError as failure:
        raise failed(str(failure)) from None
    for warning in warnings:
        say(f"{PREFIX} warning: {warning}")
    return found
