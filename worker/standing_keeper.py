"""What keeps the standing workflows up: should one be terminated, a worker starts it again."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from runtime.settings import Settings
from runtime.temporal.standing import end_unwanted, ensure_standing

EVERY = timedelta(minutes=1)
log = structlog.get_logger()


async def keep_standing(client: Client, settings: Settings, stop: asyncio.Event) -> None:
    """Bring them up to date at once, and look again now and then until told to stop."""
    is_told = False
    while not stop.is_set():
        try:
            if not is_told:
                await end_unwanted(client, settings)
            await ensure_standing(client, settings, tell=not is_told)
            is_told = True
        except (RPCError, OSError) as error:
            log.warning("standing.round_failed", reason=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY.total_seconds())
