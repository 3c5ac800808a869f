"""The ticket activities over Postgres: one transaction a command, idempotent on its id."""

from collections.abc import Sequence

import structlog
from temporalio import activity

from activities.command.attempts import MOST_ATTEMPTS, OUTAGES, attempt_number
from activities.command.transaction import Transactions
from activities.evidence.store import ObjectStore
from activities.evidence.stored_facts import Outside
from activities.ticket.aggregate import Follower, TicketAggregate
from activities.ticket.deadlines.catching_up import LATE, CatchingUp
from activities.ticket.deadlines.ring import ring
from contracts.command import SignedCommand
from contracts.ticket import (
    ESCALATE,
    EXECUTE_COMMAND,
    TicketActivities,
    TicketOutcome,
    TicketView,
    TimerFired,
)
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Pool

log = structlog.get_logger()


class PostgresTicketActivities(TicketActivities):
    """The ticket activities over an injected pool, which the worker opens and closes.

    `store` holds the evidence; `key` checks the gateway's MAC.
    """

    def __init__(
        self,
        pool: Pool,
        bundle: Bundle,
        key: bytes,
        store: ObjectStore,
        followers: Sequence[Follower] = (),
    ) -> None:
        self._pool = pool
        self._bundle = bundle
        tickets = TicketAggregate(bundle, Outside(pool, bundle, store), followers)
        self._commands = Transactions(pool, bundle, key, tickets)
        self._catching_up = CatchingUp(pool, bundle)

    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> TicketOutcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """
        return await self._commands.execute(signed)

    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands.

        A timer that rings late, or finds that another has seen to it, sees to all that is overdue.
        A look that fails for a defect again and again shows no ticket, so that the run ends: what
        is due is left to the sweep, and the next command starts another run.
        """
        await self._catching_up.over()
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                rung = await ring(conn, self._bundle, fired)
        except OUTAGES:
            raise
        except Exception:
            if attempt_number() < MOST_ATTEMPTS:
                raise
            log.exception("ticket.look_given_up", ticket_id=str(fired.ticket_id))
            return None
        if rung is None:
            return None
        if rung.late > LATE or not rung.seen_to:
            await self._catching_up.run()
        return rung.ticket
