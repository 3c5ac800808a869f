"""The ticket between processes: names, ids, messages and activities. Fields are only added."""

from abc import ABC, abstractmethod
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from temporalio import activity

from contracts.command import Message, SignedCommand
from policy.model import Actor

WORKFLOW_TYPE = "Ticket"
EXECUTE_COMMAND = "ticket.execute_command"
ESCALATE = "ticket.escalate"
CLOCK_CHANGED = "clock.changed"
"""Signals a ticket that its deadlines may have moved."""
TIMER_ACTOR_ID = "dispatch-ticket-timer"
SEARCH_ATTRIBUTES = {
    "DispatchPhase": "Keyword",
    "DispatchPriority": "Keyword",
    "DispatchSlaStatus": "Keyword",
    "DispatchAccountId": "Keyword",
    "DispatchSiteId": "Keyword",
    "DispatchTechId": "Keyword",
    "DispatchIncidentType": "Keyword",
    "DispatchEscalationLevel": "Int",
}
_TICKET_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/ticket")


class TicketView(Message):
    """What the workflow keeps of a ticket: enough for operators and for its one timer.

    `due_at` is the ticket's next escalation, `due_for` its kind; None when nothing is ahead.
    """

    state: str
    version: int
    phase: str
    priority: str
    sla_status: str
    escalation_level: int
    account_id: UUID
    site_id: UUID
    tech_id: UUID | None = None
    incident_type: str | None = None
    terminal: bool = False
    due_at: datetime | None = None
    due_for: str | None = None


class Outcome(Message):
    """What became of a command. `code` is None when it was allowed, else the error code.

    `ticket` is the ticket as stored after the command, None when there is none.
    """

    command_id: UUID
    tool: str
    code: str | None = None
    ticket: TicketView | None = None


class TicketStart(Message):
    """How a `Ticket` workflow starts, and what a run hands to the next one."""

    tenant_id: str
    ticket_id: UUID | None
    ticket: TicketView | None = None
    pending: tuple[SignedCommand, ...] = ()


class TimerFired(Message):
    """The ticket's timer fired: whatever is due by now must be escalated."""

    tenant_id: str
    ticket_id: UUID | None


def workflow_id(tenant_id: str, ticket_id: UUID | None) -> str:
    """Return the id of the workflow that owns a ticket, or a tenant's commands without one."""
    return f"tenant-{tenant_id}" if ticket_id is None else f"ticket-{ticket_id}"


def new_ticket_id(actor: Actor, endpoint: str, request_id: UUID) -> UUID:
    """Return the id reserved for a new ticket; a retry after a crash finds the same workflow."""
    parts = (actor.tenant_id, actor.actor_id, endpoint, str(request_id))
    return uuid5(_TICKET_SPACE, "\n".join(parts))


class TicketActivities(ABC):
    """What a ticket workflow asks of the outside world."""

    @abstractmethod
    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> Outcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """

    @abstractmethod
    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands."""
