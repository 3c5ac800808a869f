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

from contracts.names import AUDIT_WORKFLOW, SWEEP_WORKFLOW

INTERVALS = {SWEEP_WORKFLOW: timedelta(minutes=15), AUDIT_WORKFLOW: timedelta(minutes=1)}
CATCH_UP = timedelta(minutes=1)


def schedule_id(workflow: str) -> str:
    """Return the id of the schedule that starts a workflow."""
    return f"dispatch-{workflow}"


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Create the schedules, or give existing ones the present interval; pauses stay."""
    for workflow, interval in INTERVALS.items():
        wanted = _schedule(workflow, interval, task_queue)
        try:
            await client.create_schedule(schedule_id(workflow), wanted)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(schedule_id(workflow))
            await handle.update(partial(_updated, wanted))


def _schedule(workflow: str, interval: timedelta, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            workflow, id=schedule_id(workflow), task_queue=task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )


def _updated(wanted: Schedule, found: ScheduleUpdateInput) -> ScheduleUpdate:
    wanted.state = found.description.schedule.state
    return ScheduleUpdate(schedule=wanted)
