"""Attempts at a command: one that fails again and again, by defect or by time, is given up.

An outage is nobody's fault and is waited out for as long as it takes. Anything else that is raised
is a defect. Time is counted in advance, since whoever hangs or dies tells nobody of it: from the
second attempt on, and where a command is late, which a first attempt on a dead worker makes it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from temporalio import activity

from policy.command.message import Command
from runtime.postgres.pool import DATABASE_FAULTS, Pool

MOST_ATTEMPTS = 5
LATE = timedelta(seconds=10)
FORGIVING_SECONDS = 2
OUTAGES = (
    *DATABASE_FAULTS,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # The schema of another release: the command waits for the migration.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
"""What is raised when the database, not the command, is at fault."""
COUNT = "SELECT count_attempt($1, $2, $3, $4)"
FORGIVE = "SELECT forgive_attempt($1)"
log = structlog.get_logger()


class SlowCommandError(Exception):
    """A command ran out of time when it had its subject's lock: the time was its own."""


def attempt_number() -> int:
    """Return which attempt this is, as the engine counts them."""
    return activity.info().attempt if activity.in_activity() else 1


class Attempts:
    """Counts failed attempts in Postgres; a command that is decided in time costs nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def at(self, command: Command) -> AsyncIterator[int]:
        """Make an attempt in the body of the context, which gets how many have failed before."""
        is_late = datetime.now(UTC) - command.submitted_at > LATE
        counted = is_late or attempt_number() > 1
        failed = await self._count(command) if counted else 0
        try:
            yield failed
        except (*OUTAGES, asyncio.CancelledError):
            if counted:
                await self._forgive(command)
            raise
        except Exception as defect:
            log.exception(
                "command.attempt_failed",
                command_id=str(command.command_id),
                tool_name=command.tool,
                defect=type(defect).__name__,
            )
            if not counted:
                await self._count(command)
            raise

    async def _count(self, command: Command) -> int:
        subject = command.subject
        values = (command.command_id, command.actor.tenant_id, command.tool, subject.workflow_id)
        async with self._pool.acquire() as conn:
            failed: int = await conn.fetchval(COUNT, *values)
        return failed

    async def _forgive(self, command: Command) -> None:
        """Take the count back; in an outage it may stand, so more than one is allowed."""
        with suppress(*OUTAGES):
            async with asyncio.timeout(FORGIVING_SECONDS), self._pool.acquire() as conn:
                await conn.execute(FORGIVE, command.command_id)
