"""The ticket activities over Postgres: one transaction a command, idempotent on its id."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import structlog
from temporalio import activity

from activities.command.forgery import UNSIGNED, disarmed
from activities.command.recording import Recorder, chain_of
from activities.evidence.store import ObjectStore
from activities.evidence.stored_facts import Outside
from activities.ticket.deadlines.catching_up import LATE, CatchingUp
from activities.ticket.deadlines.judging import judge
from activities.ticket.deadlines.raising import SOONER
from activities.ticket.deadlines.ring import hold_of, passed, ring
from activities.ticket.facts import Gathering
from activities.ticket.opening import Opening, open_ticket
from activities.ticket.rosters import Rosters
from activities.ticket.view import nearest_of, ticket_view
from activities.ticket.writes import taken_outbox_key, write
from contracts.command import SignedCommand
from contracts.signing import is_authentic, is_bound
from contracts.ticket import (
    ESCALATE,
    EXECUTE_COMMAND,
    Outcome,
    TicketActivities,
    TicketView,
    TimerFired,
)
from policy.audit.row import Chain
from policy.clock.ticket_clock import ClockFacts
from policy.codes import Code
from policy.command.decide import decide
from policy.command.effects import Decision, Denial, Effects
from policy.command.message import Command
from policy.command.payload import parse_payload
from policy.command.registry import command_tool
from policy.deadlines.hold_notes import HoldSnapshot
from policy.deadlines.sla import Deadline, deadlines, sla_of
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.ticket.facts import Facts, Need
from runtime.postgres.pool import Connection, Pool, reading

CLOSE_OPEN_ROW = """
UPDATE command_log SET decision = 'ALLOW', response_code = $2, response_body = $3::text::jsonb,
       response_text = $3, decided_at = now()
 WHERE command_id = $1 AND decided_at IS NULL
"""
NOTIFY = "SELECT pg_notify('command', $1)"
PAYLOAD = "SELECT payload FROM command_payloads WHERE command_id = $1"
SNOOZE = "snooze"
log = structlog.get_logger()


class After(NamedTuple):
    """A ticket after a command, since when it rests there, and what its clock follows from.

    `look_at` is when it must be looked at whatever its deadlines are.
    """

    ticket: Ticket | None
    rests_since: datetime
    clock: ClockFacts | None
    look_at: datetime | None = None


class PostgresTicketActivities(TicketActivities):
    """The ticket activities over an injected pool, which the worker opens and closes.

    `store` holds the evidence; `key` checks the gateway's MAC.
    """

    def __init__(self, pool: Pool, bundle: Bundle, key: bytes, store: ObjectStore) -> None:
        self._pool = pool
        self._bundle = bundle
        self._key = key
        self._outside = Outside(pool, bundle, store)
        self._rosters = Rosters()
        self._catching_up = CatchingUp(pool, bundle)

    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> Outcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """
        command = signed.command
        if not is_authentic(self._key, signed):
            return await self._refuse(disarmed(self._bundle, command))
        if command.payload_stored:
            command = await self._with_payload(command)
        outside = await self._outside.gather(command)
        try:
            outcome = await self._commit(command, outside)
        except asyncpg.UniqueViolationError:
            # The same key was decided on another ticket meanwhile: now its answer is there.
            outcome = await self._commit(command, outside)
        _log_committed(command, outcome)
        return outcome

    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands.

        A timer that rings late, or finds that another has seen to it, sees to all that is overdue.
        """
        await self._catching_up.over()
        async with self._pool.acquire() as conn, conn.transaction():
            rung = await ring(conn, self._bundle, fired)
        if rung is None:
            return None
        if rung.late > LATE or not rung.seen_to:
            await self._catching_up.run()
        return rung.ticket

    async def _refuse(self, command: Command) -> Outcome:
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await open_ticket(conn, command.actor.tenant_id, command, command.ticket_id)
            return await self._record_forgery(conn, command, opening)

    async def _record_forgery(
        self, conn: Connection, command: Command, opening: Opening
    ) -> Outcome:
        await Recorder(conn, self._bundle, command).deny(opening.now, UNSIGNED)
        return await self._outcome(conn, command, UNSIGNED.code, opening)

    async def _with_payload(self, command: Command) -> Command:
        """Return a command with the payload that was stored for it; a decided one has none."""
        async with reading(self._pool, command.actor.tenant_id) as conn:
            payload = await conn.fetchval(PAYLOAD, command.command_id)
        return command.model_copy(update={"payload": payload or {}})

    async def _commit(self, command: Command, outside: Mapping[str, Any]) -> Outcome:
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await open_ticket(conn, command.actor.tenant_id, command, command.ticket_id)
            if opening.decided:  # a repeat may have begun to wait after the first notice
                await conn.execute(NOTIFY, str(command.command_id))
                return await self._outcome(conn, command, opening.decided_code, opening)
            if not is_bound(command):
                return await self._record_forgery(conn, disarmed(self._bundle, command), opening)
            if opening.stored_hash is not None:
                return await self._stored(conn, command, opening)
            facts = await self._facts(conn, command, opening, outside)
            decision = decide(self._bundle, facts, command)
            return await self._record(conn, command, opening, facts, decision)

    async def _stored(self, conn: Connection, command: Command, opening: Opening) -> Outcome:
        same_tenant = opening.stored_tenant == command.actor.tenant_id
        if not same_tenant or opening.stored_hash != command.request_hash:
            mismatch = Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH)
            await Recorder(conn, self._bundle, command).deny(opening.now, mismatch)
            return await self._outcome(conn, command, mismatch.code, opening)
        await conn.execute(
            CLOSE_OPEN_ROW, command.command_id, opening.stored_status, opening.stored_text
        )
        await conn.execute(NOTIFY, str(command.command_id))
        return await self._outcome(conn, command, None, opening)

    async def _facts(
        self,
        conn: Connection,
        command: Command,
        opening: Opening,
        outside: Mapping[str, Any],
    ) -> Facts:
        found: dict[str, Any] = {"clock": opening.clock}
        payload = parse_payload(self._bundle, command.tool, command.payload)
        if not isinstance(payload, Denial):
            gathering = Gathering(conn, command, payload, opening.ticket, self._rosters)
            automation = {Need.AUTONOMY} if command.automated else set()
            found |= await gathering.gather(command_tool(command.tool).needs | automation)
        return Facts(
            now=opening.now,
            ticket=opening.ticket,
            audit_id=uuid4(),
            new_ids=(uuid4(), uuid4()),
            **outside,
            **found,
        )

    async def _record(
        self,
        conn: Connection,
        command: Command,
        opening: Opening,
        facts: Facts,
        decision: Decision,
    ) -> Outcome:
        if isinstance(decision, Effects):
            taken = await taken_outbox_key(conn, decision.writes)
            if taken is not None:
                details = {
                    "event_type": taken.event_type,
                    "idempotency_key": taken.idempotency_key,
                }
                decision = Denial(code=Code.OUTBOX_CONFLICT, details=details)
        if isinstance(decision, Denial):
            await Recorder(conn, self._bundle, command).deny(facts.now, decision)
            return await self._outcome(conn, command, decision.code, opening)
        chain = opening.chain
        if decision.audit_ticket_id is not None:
            chain = await chain_of(conn, decision.audit_ticket_id)
        return await self._allow(conn, command, opening, facts, decision, chain)

    async def _allow(  # noqa: PLR0913, PLR0917  all that an allowed command leaves behind
        self,
        conn: Connection,
        command: Command,
        opening: Opening,
        facts: Facts,
        decision: Effects,
        chain: Chain,
    ) -> Outcome:
        since = facts.now if decision.pairs else opening.rests_since
        after = After(decision.ticket, since, facts.clock, decision.look_at)
        moved = decision.ticket if decision.ticket != facts.ticket else None
        expected = self._nearest(opening, after, None) if moved else None
        next_look = decision.look_at if expected is None else expected.due_at
        await Recorder(conn, self._bundle, command).allow(facts, decision, chain, next_look)
        for change in decision.writes:
            await write(conn, command.actor.tenant_id, change)
        if facts.clock is not None and decision.ticket is not None:
            after = after._replace(clock=await judge(conn, self._bundle, decision.ticket.id))
        outcome = await self._outcome(conn, command, None, opening, after)
        due_at = outcome.ticket and outcome.ticket.due_at
        if moved and due_at and (next_look is None or due_at < next_look):
            await conn.execute(SOONER, moved.id, moved.tenant_id, due_at, opening.now)
        return outcome

    def _nearest(
        self, opening: Opening, after: After, hold: HoldSnapshot | None
    ) -> Deadline | None:
        """Return the next instant at which the ticket must be looked at.

        Deadlines that passed before the command were seen to already.
        """
        if after.ticket is None:
            return None
        ahead = [*deadlines(self._bundle, after.ticket, after.rests_since, hold, after.clock)]
        if after.look_at is not None:
            ahead.append(Deadline(kind=SNOOZE, level=1, due_at=after.look_at))
        seen = frozenset() if opening.decided else passed(self._bundle, opening, hold)
        return nearest_of(ahead, opening.now, seen)

    async def _outcome(
        self,
        conn: Connection,
        command: Command,
        code: str | None,
        opening: Opening,
        after: After | None = None,
    ) -> Outcome:
        after = after or After(opening.ticket, opening.rests_since, opening.clock)
        ticket, view = after.ticket, None
        if ticket is not None:
            nearest = self._nearest(opening, after, await hold_of(conn, ticket))
            sla = sla_of(self._bundle, ticket, opening.now, after.clock)
            view = ticket_view(self._bundle, ticket, sla, nearest)
        return Outcome(command_id=command.command_id, tool=command.tool, code=code, ticket=view)


def _log_committed(command: Command, outcome: Outcome) -> None:
    log.info(
        "command.committed",
        command_id=str(command.command_id),
        ticket_id=None if command.ticket_id is None else str(command.ticket_id),
        tool_name=command.tool,
        request_id=command.request_id,
        correlation_id=command.correlation_id,
        trace_id=command.trace_id,
        workflow_id=activity.info().workflow_id if activity.in_activity() else None,
        code=outcome.code,
    )
