"""The ticket workflow of a next release: one command more, behind a patch, as a release must."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.messages import Outcome, SignedCommand, TicketStart, TicketView
    from workflows.ticket import TicketWorkflow

PATCH = "next-release"


@workflow.defn(name="Ticket")
class NextTicketWorkflow(TicketWorkflow):
    """Notes in the memo which release executed the first command."""

    @workflow.init
    def __init__(self, start: TicketStart) -> None:
        super().__init__(start)
        self._noted = False

    @workflow.run
    async def run(self, start: TicketStart) -> TicketView | None:
        """Run as ever."""
        return await super().run(start)

    async def _execute(self, signed: SignedCommand) -> Outcome:
        if workflow.patched(PATCH) and not self._noted:
            self._noted = True
            workflow.upsert_memo({"release": PATCH})
        return await super()._execute(signed)
