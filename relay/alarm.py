"""The wake-up: Postgres notifies of new messages; whatever is missed, the poll finds."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from runtime.postgres.pool import Connection, listening_connection

CHANNEL = "outbox"
RECONNECT_SECONDS = 1.0
log = structlog.get_logger()


class Alarm:
    """Listens on a connection of its own, from `start` to `stop`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rung = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self, seconds: float) -> None:
        """Return when it has rung since the last call, or after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), seconds)
        self._rung.clear()

    async def _listen(self) -> None:
        while True:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                conn = await listening_connection(self._url, application_name="dispatch-outbox")
                try:
                    lost = asyncio.Event()
                    conn.add_termination_listener(lambda _, lost=lost: lost.set())
                    await conn.add_listener(CHANNEL, self._ring)
                    self._rung.set()
                    await lost.wait()
                    log.warning("outbox.connection_lost")
                finally:
                    await conn.close(timeout=1)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _ring(self, _: Connection, __: int, ___: str, ____: object) -> None:
        self._rung.set()
