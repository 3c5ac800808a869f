"""Rounds: work that comes up in a database is looked for again and again until told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg
import structlog
from temporalio.service import RPCError

OUTAGES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RPCError)
EVERY = timedelta(seconds=2)
log = structlog.get_logger()


async def in_rounds(
    work: Callable[[], Awaitable[int]],
    batch: int,
    event: str,
    stop: asyncio.Event,
    every: timedelta = EVERY,
) -> None:
    """Call `work` until told to stop, at once again if it found a whole `batch`.

    An outage is waited out. So is a defect, for it must not end the worker; `event` logs both.
    """
    while not stop.is_set():
        try:
            if await work() == batch:
                continue
        except OUTAGES as error:
            log.warning(event, reason=repr(error))
        except Exception:
            log.exception(event)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every.total_seconds())
