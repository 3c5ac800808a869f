"""Clocks that were changed by hand: an adjustment, other hours, another contract, other rules.

Commands keep their own ticket's clock. What SQL or a new policy bundle changes is noticed here: the
ticket's workflow looks anew what is due, and the queue gets the new verdict.
"""

import asyncio
from uuid import UUID

import structlog
from temporalio.client import Client

from activities.ticket.deadlines.judging import judge
from activities.ticket.deadlines.telling import tell
from contracts.statements import SET_TENANT
from policy.deadlines.sla import rules_mark
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Pool
from worker.rounds import OUTAGES, in_rounds

UNJUDGED = "SELECT tenant_id, ticket_id FROM unjudged_tickets($1, $2)"
BATCH = 200
log = structlog.get_logger()


class ClockKeeper:
    """Judges what has to be judged, again and again; several of them do no harm to each other."""

    def __init__(self, client: Client, pool: Pool, bundle: Bundle) -> None:
        self._client = client
        self._pool = pool
        self._bundle = bundle

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        await in_rounds(self.round, BATCH, "clocks.round_failed", stop)

    async def round(self) -> int:
        """Judge a batch of tickets; return how many there were.

        The workflow is told first: should this process die in between, it is told again.
        """
        async with self._pool.acquire() as conn:
            found = await conn.fetch(UNJUDGED, rules_mark(self._bundle), BATCH)
        for tenant_id, ticket_id in found:
            try:
                await self._see_to(tenant_id, ticket_id)
            except OUTAGES:
                raise
            except Exception:  # one ticket must not keep the others waiting, nor stop the worker
                log.exception("clocks.ticket_failed", ticket_id=str(ticket_id))
        return len(found)

    async def _see_to(self, tenant_id: str, ticket_id: UUID) -> None:
        await tell(self._client, tenant_id, ticket_id)
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, tenant_id)
            await judge(conn, self._bundle, ticket_id)
