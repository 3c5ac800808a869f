"""The sweep over Postgres: overdue tickets are looked at without their own timers."""

from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from activities.ticket.deadlines.catching_up import overdue, see_to
from activities.ticket.deadlines.telling import tell
from contracts.deadlines import (
    MEASURE_TIMERS,
    SWEEP_DEADLINES,
    SweepActivities,
    SweepReport,
    SweepStart,
    SweptDeadlines,
)
from contracts.ticket import TimerFired
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Pool

LATENESS = "SELECT * FROM timer_lateness($1)"
BATCH = 100
GRACE = timedelta(seconds=10)
"""How much later than its deadline a timer may ring before the sweep sees to it."""
DETECTOR = "sweep"
log = structlog.get_logger()


class PostgresSweepActivities(SweepActivities):
    """The sweep's activities over an injected pool; `client` tells workflows of what was done."""

    def __init__(self, pool: Pool, bundle: Bundle, client: Client) -> None:
        self._pool = pool
        self._bundle = bundle
        self._client = client

    @activity.defn(name=SWEEP_DEADLINES)
    async def sweep(self) -> SweptDeadlines:
        """See to a batch of overdue tickets, each as its own timer would; `found` 0 is the end."""
        async with self._pool.acquire() as conn:
            waiting = await overdue(conn, GRACE, BATCH)
        seen_to = []
        for fired in waiting:
            count = await see_to(self._pool, self._bundle, fired, DETECTOR)
            if count:
                await self._tell(fired)
            if count is not None:
                seen_to.append(count)
        return SweptDeadlines(found=len(seen_to), seen_to=sum(seen_to))

    @activity.defn(name=MEASURE_TIMERS)
    async def measure(self, swept: SweptDeadlines, start: SweepStart) -> SweepReport:
        """Return, and log, what the sweep found and how late timers fired since the last one."""
        async with self._pool.acquire() as conn:
            late = await conn.fetchrow(LATENESS, timedelta(seconds=start.every_seconds))
        report = SweepReport(found=swept.found, seen_to=swept.seen_to, **dict(late or {}))
        notice = log.warning if report.seen_to else log.info
        notice("sweep.finished", **report.model_dump())
        return report

    async def _tell(self, fired: TimerFired) -> None:
        try:
            await tell(self._client, fired.tenant_id, fired.ticket_id)
        except RPCError:  # its own timer will ring; the others must not wait for that
            log.exception("sweep.not_told", ticket_id=str(fired.ticket_id))
