"""The sweep: a second look at deadlines, which does not depend on the tickets' own timers."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from contracts.deadlines import (
        DEADLINE_SWEEP,
        SweepActivities,
        SweepReport,
        SweepStart,
        SweptDeadlines,
    )
    from workflows.standing import Standing

ACTIVITY_LIMIT = timedelta(seconds=30)
MOST_BATCHES = 100
RETRIES = RetryPolicy(maximum_attempts=3)  # the next round comes anyway


@workflow.defn(name=DEADLINE_SWEEP)
class DeadlineSweepWorkflow(Standing):
    """See to overdue deadlines, batch by batch, and report how late timers fire."""

    @workflow.init
    def __init__(self, start: SweepStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: SweepStart) -> SweepReport:
        """Sweep, once or again and again."""
        return await self.stand(start, self._sweep)

    async def _sweep(self) -> SweepReport:
        """Work until a batch is empty or there were enough of them."""
        start = SweepStart(every_seconds=self.every_seconds)
        found = seen_to = 0
        for _ in range(MOST_BATCHES):
            swept = await workflow.execute_activity_method(
                SweepActivities.sweep,
                start_to_close_timeout=ACTIVITY_LIMIT,
                retry_policy=RETRIES,
                summary="see to what is overdue",
            )
            found, seen_to = found + swept.found, seen_to + swept.seen_to
            if swept.found == 0:
                break
        return await workflow.execute_activity_method(
            SweepActivities.measure,
            args=(SweptDeadlines(found=found, seen_to=seen_to), start),
            start_to_close_timeout=ACTIVITY_LIMIT,
            retry_policy=RETRIES,
            summary="how late timers fire",
        )
