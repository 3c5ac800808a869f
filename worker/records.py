"""What a worker does besides commands: it anchors the audit log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from runtime.anchoring import Anchoring
from runtime.database import Pool
from runtime.settings import Settings
from runtime.signing_keys import VARIABLE, signing_keys
from runtime.vault import open_vault

log = structlog.get_logger()


@asynccontextmanager
async def keeping_records(settings: Settings, pool: Pool) -> AsyncIterator[None]:
    """Anchor beside the body of the context; without a key there is nothing to anchor with."""
    keys = signing_keys(settings)
    if keys is None or keys.signing_id is None:
        log.warning("worker.setting", message=f"{VARIABLE} has no key to sign checkpoints with")
        yield
        return
    running = asyncio.create_task(Anchoring(pool, keys, open_vault(settings)).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
