"""The watchdog: a worker whose event loop does not come round any more says where, and ends.

Nothing in the process could stop what keeps the loop busy; whoever started it starts another one.
The commands that it had are tried again there, and counted (see `activities.command.attempts`).
"""

import asyncio
import faulthandler
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

LIMIT_SECONDS = 20.0
EVERY_SECONDS = 1.0


@asynccontextmanager
async def watched(limit_seconds: float = LIMIT_SECONDS) -> AsyncIterator[None]:
    """End the process with a traceback if its loop stands still for as long as the limit."""
    pulse = asyncio.create_task(_pulse(limit_seconds))
    try:
        yield
    finally:
        pulse.cancel()
        with suppress(asyncio.CancelledError):
            await pulse
        faulthandler.cancel_dump_traceback_later()


async def _pulse(limit_seconds: float) -> None:
    while True:
        faulthandler.dump_traceback_later(limit_seconds, exit=True)
        await asyncio.sleep(min(EVERY_SECONDS, limit_seconds / 4))
