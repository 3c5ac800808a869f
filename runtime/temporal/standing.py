"""The workflows that stand: started where one is missing, told of another interval, or ended."""

from collections.abc import Mapping

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from contracts.deadlines import DEADLINE_SWEEP, SweepStart
from contracts.evidence import AUDIT_WORKFLOW, SWEEP_WORKFLOW
from contracts.standing import INTERVAL_CHANGED, Rounds, standing_id
from runtime.settings import Settings

SWEEP_SECONDS, AUDIT_SECONDS = 900, 60
STANDING = (DEADLINE_SWEEP, SWEEP_WORKFLOW, AUDIT_WORKFLOW)


def wanted(settings: Settings) -> Mapping[str, Rounds]:
    """Return what shall stand in this installation, and how often each goes round."""
    found: dict[str, Rounds] = {}
    if settings.deadline_sweep:
        every = settings.deadline_sweep_seconds
        found[DEADLINE_SWEEP] = SweepStart(every_seconds=every, goes_on=True)
    if settings.s3_bucket:
        found[SWEEP_WORKFLOW] = Rounds(every_seconds=SWEEP_SECONDS, goes_on=True)
        found[AUDIT_WORKFLOW] = Rounds(every_seconds=AUDIT_SECONDS, goes_on=True)
    return found


async def ensure_standing(client: Client, settings: Settings, *, tell: bool = False) -> None:
    """Start what is missing, and on request tell what stands its interval.

    Where it stands already and is told nothing, it notices nothing.
    """
    for workflow, start in wanted(settings).items():
        await client.start_workflow(
            workflow,
            start,
            id=standing_id(workflow),
            task_queue=settings.temporal_task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=INTERVAL_CHANGED if tell else None,
            start_signal_args=[start.every_seconds] if tell else [],
            static_summary=f"upkeep, every {start.every_seconds} s",
        )


async def end_unwanted(client: Client, settings: Settings) -> None:
    """Cancel what shall not stand here, and delete the schedules of earlier releases."""
    for workflow in STANDING:
        name = standing_id(workflow)
        endings = [client.get_schedule_handle(name).delete()]
        if workflow not in wanted(settings):
            endings.append(client.get_workflow_handle(name).cancel())
        for ending in endings:
            try:
                await ending
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
