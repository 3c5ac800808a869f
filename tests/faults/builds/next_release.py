"""The ticket workflow of a next release: one command more, behind a patch, as a release must."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.command import SignedCommand
    from contracts.ticket import TicketOutcome, TicketStart, TicketView
    from workflows.ticket.workflow import TicketWorkflow

PATCH = "next-release"


@workflow.defn(name="Ticket")
class NextTicketWorkflow(TicketWorkflow):
    """Notes in the history, and so in `TemporalChangeVersion`, that this release came by."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:
        """Run as ever."""
        return await super().run(start)

    async def execute(self, signed: SignedCommand) -> TicketOutcome:
        """Execute a command."""
        workflow.patched(PATCH)
        return await super().execute(signed)
