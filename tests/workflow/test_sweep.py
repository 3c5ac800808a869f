"""The sweep: batch by batch until nothing is overdue, then one report, and the next round."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from contracts.deadlines import (
    DEADLINE_SWEEP,
    MEASURE_TIMERS,
    SWEEP_DEADLINES,
    SweepActivities,
    SweepReport,
    SweepStart,
    SweptDeadlines,
)
from contracts.standing import INTERVAL_CHANGED
from tests.polling import eventually
from worker.parts import OUR_PURE_MODULES
from workflows.deadlines import MOST_BATCHES, DeadlineSweepWorkflow

pytest_plugins = ["tests.workflow.time_skipping"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Batches(SweepActivities):
    """A sweep over batches of these sizes; each ticket is seen to once."""

    def __init__(self, *sizes: int, faults: int = 0) -> None:
        self.sizes = list(sizes)
        self.faults = faults
        self.rounds = 0

    @activity.defn(name=SWEEP_DEADLINES)
    async def sweep(self) -> SweptDeadlines:
        """Return the next batch."""
        if self.faults:
            self.faults -= 1
            raise OSError("no database")
        self.rounds += 1
        size = self.sizes.pop(0) if self.sizes else 0
        return SweptDeadlines(found=size, seen_to=size)

    @activity.defn(name=MEASURE_TIMERS)
    async def measure(self, swept: SweptDeadlines, start: SweepStart) -> SweepReport:
        """Return what was swept, and the span as the number of timers."""
        return SweepReport(found=swept.found, seen_to=swept.seen_to, fired=start.every_seconds)


@asynccontextmanager
async def working(skipping: WorkflowEnvironment, batches: Batches) -> AsyncIterator[str]:
    """Run a worker of the sweep; give its task queue."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES)
    name = str(uuid4())
    async with Worker(
        skipping.client,
        task_queue=name,
        workflows=[DeadlineSweepWorkflow],
        activities=[batches.sweep, batches.measure],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    ):
        yield name


async def report_of(skipping: WorkflowEnvironment, batches: Batches) -> SweepReport:
    async with working(skipping, batches) as name:
        report: SweepReport = await skipping.client.execute_workflow(
            DEADLINE_SWEEP,
            SweepStart(every_seconds=7),
            id=name,
            task_queue=name,
            result_type=SweepReport,
        )
    return report


async def test_batches_follow_each_other_until_nothing_is_overdue(
    skipping: WorkflowEnvironment,
) -> None:
    batches = Batches(3, 2)
    report = await report_of(skipping, batches)
    assert (report.found, report.seen_to, report.fired) == (5, 5, 7)
    assert batches.rounds == 3


async def test_an_outage_is_waited_out(skipping: WorkflowEnvironment) -> None:
    report = await report_of(skipping, Batches(1, faults=2))
    assert report.found == 1


async def test_one_sweep_does_not_go_on_forever(skipping: WorkflowEnvironment) -> None:
    batches = Batches(*[1] * (MOST_BATCHES + 5))
    assert (await report_of(skipping, batches)).found == MOST_BATCHES


async def test_one_that_stands_goes_round_after_round_in_one_run_also_after_one_that_failed(
    skipping: WorkflowEnvironment,
) -> None:
    batches = Batches(faults=3)
    async with working(skipping, batches) as name:
        start = SweepStart(every_seconds=3600, goes_on=True)
        handle = await skipping.client.start_workflow(
            DEADLINE_SWEEP, start, id=name, task_queue=name
        )

        async def rounds() -> bool:
            await skipping.sleep(timedelta(hours=1))
            return batches.rounds >= 3

        await eventually(rounds, what="three rounds")
        await handle.signal(INTERVAL_CHANGED, 1)
        before = batches.rounds

        async def many_rounds() -> bool:
            await skipping.sleep(timedelta(seconds=3))
            return batches.rounds >= before + 3

        await eventually(many_rounds, what="rounds at the other interval")
        run = (await handle.describe()).run_id
        assert run == handle.first_execution_run_id
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()
        assert isinstance(ended.value.cause, CancelledError)
        history = await handle.fetch_history()
    replayed = await Replayer(
        workflows=[DeadlineSweepWorkflow], data_converter=pydantic_data_converter
    ).replay_workflow(history, raise_on_replay_failure=False)
    assert replayed.replay_failure is None
