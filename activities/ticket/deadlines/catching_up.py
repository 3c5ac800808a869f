"""Catching up: when timers ring late, the engine is short of time, and one of them sees to all.

A timer costs the engine several tasks, a look at a ticket costs Postgres one transaction. So the
first that rings late looks at every ticket that is overdue; their own timers ring when the engine
comes to them, find that it is done, and look whether more has fallen due.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import structlog

from activities.ticket.deadlines.ring import ring
from contracts.ticket import TimerFired
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection, Pool

LATE = timedelta(seconds=1)
# A local activity has five: it may wait for one run and make another.
SPAN_SECONDS = 1.5
BATCH = 50
AT_ONCE = 4
DETECTOR = "catch_up"
# One for the whole installation: several would get into each other's way.
ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('catching up', 0))"
OVERDUE = "SELECT tenant_id, ticket_id FROM overdue_tickets($1, $2)"
log = structlog.get_logger()


async def overdue(conn: Connection, grace: timedelta, limit: int) -> list[TimerFired]:
    """Return the tickets that should have been looked at for as long as `grace`, oldest first."""
    rows = await conn.fetch(OVERDUE, grace, limit)
    return [TimerFired(tenant_id=row["tenant_id"], ticket_id=row["ticket_id"]) for row in rows]


async def see_to(pool: Pool, bundle: Bundle, fired: TimerFired, detector: str) -> int | None:
    """See to what is due on one ticket; return to how many deadlines, None if it failed."""
    try:
        async with pool.acquire() as conn, conn.transaction():
            rung = await ring(conn, bundle, fired, detector)
    except Exception:  # one ticket must not keep the others waiting
        log.exception("timers.ticket_failed", ticket_id=str(fired.ticket_id), detector=detector)
        return None
    return 0 if rung is None else rung.seen_to


class CatchingUp:
    """Sees to what is overdue, one run at a time in the installation.

    While one runs, timers of the same worker wait for it: their workflow tasks stay open, so the
    engine hands out no more of them and leaves the processors to the run.
    """

    def __init__(self, pool: Pool, bundle: Bundle) -> None:
        self._pool = pool
        self._bundle = bundle
        self._running: asyncio.Task[int] | None = None

    async def over(self) -> None:
        """Wait for the run that this worker is at, if it is at one."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def run(self) -> int:
        """See to all overdue tickets, for some seconds at most; return to how many deadlines."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._forget)
        return await asyncio.shield(self._running)

    def _forget(self, _: asyncio.Task[int]) -> None:
        self._running = None

    async def _run(self) -> int:
        seen_to = 0
        try:
            async with self._pool.acquire() as guard, guard.transaction():
                if await guard.fetchval(ALONE):
                    async for count in self._batches(guard):
                        seen_to += count
        except Exception:  # whatever it is: the look that began this is done
            log.exception("timers.catching_up_failed")
        if seen_to:
            log.info("timers.caught_up", seen_to=seen_to)
        return seen_to

    async def _batches(self, guard: Connection) -> AsyncIterator[int]:
        """See to batch after batch; yield to how many deadlines, until there is nothing to do."""
        ends_at = time.monotonic() + SPAN_SECONDS
        while time.monotonic() < ends_at:
            waiting = iter(await overdue(guard, LATE, BATCH))
            counts = await asyncio.gather(*(self._lane(waiting) for _ in range(AT_ONCE)))
            if not any(counts):
                return
            yield sum(counts)

    async def _lane(self, waiting: Iterator[TimerFired]) -> int:
        counts = [await see_to(self._pool, self._bundle, each, DETECTOR) for each in waiting]
        return sum(filter(None, counts))
