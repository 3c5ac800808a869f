"""The Temporal schedules of what happens at set times, brought up to date when a worker starts."""

from datetime import timedelta
from functools import partial

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts.deadlines import DEADLINE_SWEEP, SweepStart
from contracts.evidence import AUDIT_WORKFLOW, SWEEP_WORKFLOW
from runtime.settings import Settings

INTERVALS = {SWEEP_WORKFLOW: timedelta(minutes=15), AUDIT_WORKFLOW: timedelta(minutes=1)}
CATCH_UP = timedelta(minutes=1)


def schedule_id(workflow: str) -> str:
    """Return the id of the schedule that starts a workflow."""
    return f"dispatch-{workflow}"


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Create the schedules of the evidence, or give existing ones the present interval."""
    for workflow, interval in INTERVALS.items():
        await _ensure(client, workflow, interval, task_queue)


async def ensure_sweep(client: Client, settings: Settings) -> None:
    """Let the sweep of deadlines run as often as configured, or not at all."""
    if settings.deadline_sweep:
        every = settings.deadline_sweep_seconds
        start = SweepStart(every_seconds=every)
        queue = settings.temporal_task_queue
        await _ensure(client, DEADLINE_SWEEP, timedelta(seconds=every), queue, start)
        return
    try:
        await client.get_schedule_handle(schedule_id(DEADLINE_SWEEP)).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _ensure(
    client: Client, workflow: str, interval: timedelta, task_queue: str, *arguments: object
) -> None:
    """Create a schedule, or bring an existing one up to date; a pause stays."""
    name = schedule_id(workflow)
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(
            workflow, args=arguments, id=name, task_queue=task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(name).update(partial(_updated, wanted))


def _updated(wanted: Schedule, found: ScheduleUpdateInput) -> ScheduleUpdate:
    wanted.state = found.description.schedule.state
    return ScheduleUpdate(schedule=wanted)
