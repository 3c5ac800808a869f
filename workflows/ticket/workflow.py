"""The Ticket workflow: one ticket from intake to closure, one command at a time."""

from typing import NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.attributes import from_attributes, updates
    from contracts.command import SignedCommand
    from contracts.ticket import (
        SHOWN,
        SHOWN_LATER,
        WORKFLOW_TYPE,
        TicketActivities,
        TicketOutcome,
        TicketStart,
        TicketView,
        TimerFired,
        attributes_of,
    )
    from policy.command.message import Subject
    from workflows.command.local_first import local_first, regularly
    from workflows.command.loop import CommandLoop
    from workflows.ticket.card import card

CARRY_FEW_BYTES = "2026-12-carry-few-bytes"
CARRY_LESS = "2026-11-carry-less"
DRAIN_ON_CANCEL = "2026-11-drain-on-cancel"
RING_LOCALLY = "2026-11-ring-locally"
SHOW_STATE = "2026-12-show-state"


@workflow.defn(name=WORKFLOW_TYPE)
class TicketWorkflow(CommandLoop[TicketView, TicketOutcome]):
    """Own one ticket, or the commands of a tenant that are about none."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        subject = Subject.of_ticket(start.tenant_id, start.ticket_id)
        super().__init__(start.tenant_id, subject, start.ticket, start.pending)
        self._start = start
        self._attributes: dict[str, str | int] = {}
        if start.ticket is None:  # a run that goes on sets its own anew
            self._attributes = from_attributes(workflow.info().typed_search_attributes)

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:  # noqa: ARG002  read by __init__
        """Execute commands until the ticket is terminal, or was refused, and the inbox empty."""
        return await self.drained()

    async def execute(self, signed: SignedCommand) -> TicketOutcome:
        """Have a command decided and recorded."""
        command = signed.command
        told = {
            "command_id": str(command.command_id),
            "correlation_id": command.correlation_id,
        }
        summary = f"{command.tool} by {command.actor.actor_role}"
        return await local_first(
            TicketActivities.execute_command, signed, summary=summary, told=told
        )

    async def look(self) -> TicketView | None:
        """Escalate what is due; return the ticket as it stands."""
        fired = TimerFired(tenant_id=self._start.tenant_id, ticket_id=self._start.ticket_id)
        summary = "escalate what is due"
        if workflow.patched(RING_LOCALLY):
            return await local_first(TicketActivities.escalate, fired, summary=summary, told={})
        return await regularly(TicketActivities.escalate, fired, summary)

    def view_of(self, outcome: TicketOutcome) -> TicketView | None:
        """Return the ticket as stored after a command."""
        return outcome.ticket

    def show(self, view: TicketView | None, outcome: TicketOutcome | None) -> None:
        """Upsert the search attributes that changed; renew the card after a command."""
        shows_state = view is not None and workflow.patched(SHOW_STATE)
        attributes = attributes_of(view, {**SHOWN, **SHOWN_LATER} if shows_state else SHOWN)
        changed = updates(self._attributes, attributes)
        if changed:
            self._attributes = attributes
            workflow.upsert_search_attributes(changed)
        if outcome is not None:
            workflow.set_current_details(card(view, outcome))

    def go_on(self) -> NoReturn:
        """Continue as new, with the ticket and the inbox."""
        carried = {"ticket": self.view, "pending": tuple(self.inbox)}
        workflow.continue_as_new(self._start.model_copy(update=carried))

    def drains(self) -> bool:
        """Tell whether this run does; those of earlier releases do not."""
        return workflow.patched(DRAIN_ON_CANCEL)

    def carries_less(self) -> bool:
        """Tell whether this run does; those of earlier releases carry an inbox of any size."""
        return workflow.patched(CARRY_LESS)

    def carries_few_bytes(self) -> bool:
        """Tell whether this run does; those of earlier releases count the commands alone."""
        return workflow.patched(CARRY_FEW_BYTES)
