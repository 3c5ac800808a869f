"""The Counter workflow: all it has of its own."""

from typing import NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.command import SignedCommand
    from tests.kinds.counter.contracts import (
        CounterActivities,
        CounterDue,
        CounterOutcome,
        CounterStart,
        CounterView,
        counter_of,
    )
    from workflows.command.local_first import local_first
    from workflows.command.loop import CommandLoop


@workflow.defn(name="Counter")
class CounterWorkflow(CommandLoop[CounterView, CounterOutcome]):
    """Own one counter."""

    @workflow.init
    def __init__(self, start: CounterStart) -> None:
        subject = counter_of(start.counter_id)
        super().__init__(start.tenant_id, subject, start.counter, start.pending)
        self._start = start

    @workflow.run
    async def run(self, start: CounterStart) -> CounterView | None:  # noqa: ARG002  read by __init__
        """Execute commands until the counter is closed."""
        return await self.drained()

    async def execute(self, signed: SignedCommand) -> CounterOutcome:
        """Have a command decided and recorded."""
        execute, summary = CounterActivities.execute_command, signed.command.tool
        return await local_first(execute, signed, summary=summary, told={})

    async def look(self) -> CounterView | None:
        """Count a look."""
        due = CounterDue(tenant_id=self.tenant_id, counter_id=self._start.counter_id)
        return await local_first(CounterActivities.look, due, summary="look", told={})

    def view_of(self, outcome: CounterOutcome) -> CounterView | None:
        """Return the counter as stored after a command."""
        return outcome.counter

    def show(self, view: CounterView | None, outcome: CounterOutcome | None) -> None:
        """Show how far it has counted."""
        del outcome
        workflow.set_current_details("" if view is None else f"**Value** {view.value}")

    def go_on(self) -> NoReturn:
        """Continue as new, with the counter and the inbox."""
        carried = {"counter": self.view, "pending": tuple(self.inbox)}
        workflow.continue_as_new(self._start.model_copy(update=carried))
