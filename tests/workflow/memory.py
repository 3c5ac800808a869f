"""The ticket activities in memory: a small lifecycle, and everything they were asked."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from temporalio import activity

from contracts.command import SignedCommand
from contracts.signing import is_authentic
from contracts.ticket import (
    ESCALATE,
    EXECUTE_COMMAND,
    TicketActivities,
    TicketOutcome,
    TicketView,
    TimerFired,
)

Clock = Callable[[], Awaitable[datetime]]
KEY = b"a key for these tests, and for nothing else"
ACCOUNT, SITE = UUID(int=1), UUID(int=2)
LIFECYCLE = {
    ("", "ticket.create"): "NEW",
    ("NEW", "ticket.triage"): "TRIAGED",
    ("NEW", "ticket.cancel"): "CANCELLED",
    ("TRIAGED", "ticket.cancel"): "CANCELLED",
}


class InMemoryTicketActivities(TicketActivities):
    """A sibling of the Postgres activities: a denial moves nothing, a repeat changes nothing.

    `deadlines` are ahead of every ticket until a look finds them past by the `clock`; views of
    outcomes leave out what is past if `hides_passed`, as for deadlines that passed before the
    command. `local_fault` is raised by local attempts, and a closed `gate` holds commands back.
    """

    def __init__(self, clock: Clock) -> None:
        self.executed: list[SignedCommand] = []
        self.was_local: list[bool] = []
        self.outcomes: dict[UUID, TicketOutcome] = {}
        self.views: dict[UUID | None, TicketView] = {}
        self.looks: list[TimerFired] = []
        self.deadlines: set[datetime] = set()
        self.hides_passed = False
        self.clock = clock
        self.local_fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.most_running = 0

    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> TicketOutcome:
        """Decide by `LIFECYCLE` and remember."""
        if activity.info().is_local and self.local_fault is not None:
            raise self.local_fault
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        self.executed.append(signed)
        self.was_local.append(activity.info().is_local)
        now = await self.clock()
        ahead = {each for each in self.deadlines if each > now or not self.hides_passed}
        outcome = self.outcomes.get(signed.command.command_id) or self._decide(signed, ahead)
        self.outcomes[outcome.command_id] = outcome
        return outcome

    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Remember that the ticket was looked at; what is due is seen to."""
        self.looks.append(fired)
        now = await self.clock()
        self.deadlines = {deadline for deadline in self.deadlines if deadline > now}
        return self._shown(self.views.get(fired.ticket_id), self.deadlines)

    def _shown(self, view: TicketView | None, ahead: set[datetime]) -> TicketView | None:
        due = {"due_at": min(ahead, default=None), "due_for": "sla_warning"}
        return view and view.model_copy(update=due)

    def _decide(self, signed: SignedCommand, ahead: set[datetime]) -> TicketOutcome:
        command = signed.command
        view = self.views.get(command.ticket_id)
        state = LIFECYCLE.get((view.state if view else "", command.tool))
        code = None if state else "INVALID_STATE_TRANSITION"
        if not is_authentic(KEY, signed):
            code = "INVALID_AUTH_TOKEN"
        elif state:
            view = TicketView(
                state=state,
                version=view.version + 1 if view else 0,
                phase=state.lower(),
                priority="ROUTINE",
                sla_status="healthy",
                escalation_level=0,
                account_id=ACCOUNT,
                site_id=SITE,
                terminal=state == "CANCELLED",
            )
            self.views[command.ticket_id] = view
        shown = self._shown(view, ahead)
        return TicketOutcome(
            command_id=command.command_id, tool=command.tool, code=code, ticket=shown
        )
