"""Every kind of subject's destination: the gateway sends there, and so does who sends again."""

from uuid import UUID

from temporalio.common import TypedSearchAttributes

from contracts.attributes import to_attributes
from contracts.ticket import (
    SUMMARY_ATTRIBUTE,
    WORKFLOW_TYPE,
    TicketStart,
    TicketView,
    attributes_of,
)
from policy.command.message import TENANT, TICKET, Command
from policy.deadlines.sla import SlaStatus
from policy.model import Priority, State
from policy.rules.bundle import Bundle
from runtime.settings import Settings
from runtime.temporal.destination import Destination

SUMMARY_LIMIT = 120


def destinations(bundle: Bundle, settings: Settings) -> dict[str, Destination]:
    """Return where commands go, by the kind of what they are about."""
    sealed = settings.payload_keys is not None
    tickets = ticket_destination(bundle, settings.temporal_task_queue, sealed=sealed)
    return {TICKET: tickets, TENANT: tickets}


def ticket_destination(bundle: Bundle, task_queue: str, *, sealed: bool) -> Destination:
    """Return where commands on tickets go; what is sealed shows no summary in the list."""

    def attributes(command: Command) -> TypedSearchAttributes | None:
        return _first_sight(bundle, command, None if sealed else _summary(command))

    return Destination(WORKFLOW_TYPE, task_queue, _start, attributes, _summary)


def _start(command: Command) -> TicketStart:
    return TicketStart(tenant_id=command.actor.tenant_id, ticket_id=command.ticket_id)


def _summary(command: Command) -> str | None:
    return str(command.payload.get("summary") or "")[:SUMMARY_LIMIT] or None


def _first_sight(
    bundle: Bundle, command: Command, summary: str | None
) -> TypedSearchAttributes | None:
    """Return what operators see of a ticket from the start, if `command` is to create it.

    It is what a new ticket looks like; so the first outcome rarely has anything to change.
    """
    if not bundle.tools[command.tool].creates_ticket:
        return None
    new = TicketView(
        version=0,
        state=State.NEW,
        phase=bundle.phase_of[State.NEW],
        priority=Priority.ROUTINE,
        sla_status=SlaStatus.HEALTHY,
        escalation_level=0,
        account_id=UUID(command.payload["account_id"]),
        site_id=UUID(command.payload["site_id"]),
    )
    told = {} if summary is None else {SUMMARY_ATTRIBUTE: summary}
    return to_attributes({**attributes_of(new), **told})
