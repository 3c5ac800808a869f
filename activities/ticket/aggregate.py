"""The ticket as the machine's transaction sees it: opened, asked for facts, changed, shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from activities.command.transaction import Asked
from activities.command.writes import write
from activities.evidence.stored_facts import Outside
from activities.ticket.deadlines.judging import judge
from activities.ticket.deadlines.raising import SOONER
from activities.ticket.deadlines.ring import hold_of, passed
from activities.ticket.facts import TicketGathering
from activities.ticket.opening import TicketOpening, open_ticket
from activities.ticket.recording import RECORD, chain_of, record_command
from activities.ticket.rosters import Rosters
from activities.ticket.view import nearest_of, ticket_view
from activities.ticket.writes import WRITES
from contracts.ticket import TicketOutcome
from policy.clock.ticket_clock import ClockFacts
from policy.command.effects import Denial, Effects
from policy.command.message import Command
from policy.command.registry import command_tool
from policy.deadlines.hold_notes import HoldSnapshot
from policy.deadlines.sla import Deadline, deadlines, sla_of
from policy.model import Ticket
from policy.rules.bundle import Bundle
from policy.ticket.checks import JUDGE
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import OUTSIDE, Need, TicketFacts
from runtime.postgres.pool import Connection

SNOOZE = "snooze"


class Follower(Protocol):
    """Somebody who has to write something of their own whenever a ticket's command commits."""

    async def follow(
        self, conn: Connection, before: Ticket | None, after: Ticket | None, command: Command
    ) -> None:
        """Write it, in the command's transaction: it is there if the command is, or neither."""


class After(NamedTuple):
    """A ticket after a command, since when it rests there, and what its clock follows from.

    `look_at` is when it must be looked at whatever its deadlines are.
    """

    ticket: Ticket | None
    rests_since: datetime
    clock: ClockFacts | None
    look_at: datetime | None = None


class TicketAggregate:
    """Tickets, and the commands of a tenant that are about none; `store` holds the evidence."""

    judge = JUDGE
    statement = RECORD

    def __init__(
        self, bundle: Bundle, outside: Outside, followers: Sequence[Follower] = ()
    ) -> None:
        self._bundle = bundle
        self._outside = outside
        self._rosters = Rosters()
        self._followers = followers

    async def outside(self, command: Command, payload: Asked) -> Mapping[str, Any]:
        """Return what the object store knows of what the tool asks for."""
        return await self._outside.gather(command, payload)

    async def open(self, conn: Connection, command: Command) -> TicketOpening:
        """Take the ticket's lock and return what is true now."""
        return await open_ticket(conn, command.actor.tenant_id, command, command.ticket_id)

    async def facts(
        self,
        conn: Connection,
        command: Command,
        payload: Asked,
        opening: TicketOpening,
        outside: Mapping[str, Any],
    ) -> TicketFacts:
        """Return everything that the decision may look at."""
        found: dict[str, Any] = {"clock": opening.clock}
        if not isinstance(payload, Denial):
            gathering = TicketGathering(conn, command, payload, opening.ticket, self._rosters)
            automation = {Need.AUTONOMY} if command.automated else set()
            needs = command_tool(command.tool).needs | automation
            found |= await gathering.gather(needs - OUTSIDE)
        return TicketFacts(
            now=opening.now,
            ticket=opening.ticket,
            audit_id=uuid4(),
            new_ids=(uuid4(), uuid4()),
            **outside,
            **found,
        )

    async def apply(
        self,
        conn: Connection,
        command: Command,
        opening: TicketOpening,
        facts: TicketFacts,
        effects: Effects,
    ) -> TicketOutcome:
        """Write the ticket and all that goes with it; return it as stored."""
        effects = TicketEffects.of(effects)
        since = facts.now if effects.pairs else opening.rests_since
        after = After(effects.ticket, since, facts.clock, effects.look_at)
        moved = effects.ticket if effects.ticket != facts.ticket else None
        expected = self._nearest(opening, after, None) if moved else None
        next_look = effects.look_at if expected is None else expected.due_at
        chain = opening.chain
        if effects.audit_ticket_id is not None:
            chain = await chain_of(conn, effects.audit_ticket_id)
        await record_command(conn, self._bundle, command, facts, effects, chain, next_look)
        await write(conn, WRITES, command.actor.tenant_id, effects.writes)
        for follower in self._followers:
            await follower.follow(conn, facts.ticket, effects.ticket, command)
        if facts.clock is not None and effects.ticket is not None:
            after = after._replace(clock=await judge(conn, self._bundle, effects.ticket.id))
        outcome = await self._outcome(conn, command, None, opening, after)
        due_at = outcome.ticket and outcome.ticket.due_at
        if moved and due_at and (next_look is None or due_at < next_look):
            await conn.execute(SOONER, moved.id, moved.tenant_id, due_at, opening.now)
        return outcome

    async def unchanged(
        self, conn: Connection, command: Command, opening: TicketOpening, code: str | None
    ) -> TicketOutcome:
        """Return the ticket as it was opened."""
        after = After(opening.ticket, opening.rests_since, opening.clock)
        return await self._outcome(conn, command, code, opening, after)

    def untold(self, command: Command, code: str | None) -> TicketOutcome:
        """Return the outcome without the ticket, which cannot be read."""
        return TicketOutcome(command_id=command.command_id, tool=command.tool, code=code)

    def _nearest(
        self, opening: TicketOpening, after: After, hold: HoldSnapshot | None
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
        opening: TicketOpening,
        after: After,
    ) -> TicketOutcome:
        ticket, view = after.ticket, None
        if ticket is not None:
            nearest = self._nearest(opening, after, await hold_of(conn, ticket))
            sla = sla_of(self._bundle, ticket, opening.now, after.clock)
            view = ticket_view(self._bundle, ticket, sla, nearest)
        return TicketOutcome(
            command_id=command.command_id, tool=command.tool, code=code, ticket=view
        )
