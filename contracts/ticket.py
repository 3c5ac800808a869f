"""The ticket between processes: names, ids, messages and activities. Fields are only added."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from uuid import NAMESPACE_URL, UUID, uuid5

from temporalio import activity

from contracts.command import Message, Outcome, SignedCommand, View
from policy.model import Actor

WORKFLOW_TYPE = "Ticket"
EXECUTE_COMMAND = "ticket.execute_command"
ESCALATE = "ticket.escalate"
TIMER_ACTOR_ID = "dispatch-ticket-timer"
_TICKET_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/ticket")


class TicketView(View):
    """What the workflow keeps of a ticket; what is due next is its next escalation."""

    state: str
    phase: str
    priority: str
    sla_status: str
    escalation_level: int
    account_id: UUID
    site_id: UUID
    tech_id: UUID | None = None
    incident_type: str | None = None


SHOWN: Mapping[str, tuple[str, str]] = {
    "DispatchPhase": ("Keyword", "phase"),
    "DispatchPriority": ("Keyword", "priority"),
    "DispatchSlaStatus": ("Keyword", "sla_status"),
    "DispatchAccountId": ("Keyword", "account_id"),
    "DispatchSiteId": ("Keyword", "site_id"),
    "DispatchTechId": ("Keyword", "tech_id"),
    "DispatchIncidentType": ("Keyword", "incident_type"),
    "DispatchEscalationLevel": ("Int", "escalation_level"),
}
"""The search attributes of a ticket's workflow: their type, and the field that they show."""
SHOWN_LATER: Mapping[str, tuple[str, str]] = {"DispatchState": ("Keyword", "state")}
"""Those that runs of earlier releases do not set."""
SUMMARY_ATTRIBUTE = "DispatchSummary"
"""Text; what the ticket was created with. The gateway sets it once, and no workflow touches it."""


def attributes_of(
    ticket: TicketView | None, shown: Mapping[str, tuple[str, str]] = SHOWN
) -> dict[str, str | int]:
    """Return the search attributes that show a ticket, by name; None shows nothing."""
    fields = {} if ticket is None else ticket.model_dump(exclude_none=True)
    return {
        name: fields[field] if kind == "Int" else str(fields[field])
        for name, (kind, field) in shown.items()
        if field in fields
    }


class TicketOutcome(Outcome):
    """What became of a command, and the ticket as stored after it; None when there is none."""

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


def new_ticket_id(actor: Actor, endpoint: str, request_id: UUID) -> UUID:
    """Return the id reserved for a new ticket; a retry after a crash finds the same workflow."""
    parts = (actor.tenant_id, actor.actor_id, endpoint, str(request_id))
    return uuid5(_TICKET_SPACE, "\n".join(parts))


class TicketActivities(ABC):
    """What a ticket workflow asks of the outside world."""

    @abstractmethod
    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> TicketOutcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """

    @abstractmethod
    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands."""
