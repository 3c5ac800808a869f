"""What keeps the standing workflows up: should one be terminated, a worker starts it again."""

import asyncio
from datetime import timedelta

from temporalio.client import Client

from runtime.settings import Settings
from runtime.temporal.standing import end_unwanted, ensure_standing
from worker.rounds import in_rounds

EVERY = timedelta(minutes=1)
ENDLESS = -1
"""No round finds so much that the next one comes at once."""


async def keep_standing(client: Client, settings: Settings, stop: asyncio.Event) -> None:
    """Bring them up to date at once, and look again now and then until told to stop."""
    is_told = False

    async def round_of_looks() -> int:
        nonlocal is_told
        if not is_told:
            await end_unwanted(client, settings)
        await ensure_standing(client, settings, tell=not is_told)
        is_told = True
        return 0

    await in_rounds(round_of_looks, ENDLESS, "standing.round_failed", stop, EVERY)
