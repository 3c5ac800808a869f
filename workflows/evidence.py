"""The workflows that look after evidence. Each run is one activity; a schedule starts the runs."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from contracts.evidence import (
        AUDIT_WORKFLOW,
        SWEEP_WORKFLOW,
        Audited,
        EvidenceActivities,
        Swept,
    )

RUN_LIMIT = timedelta(minutes=10)
HEARTBEAT_LIMIT = timedelta(minutes=1)
# The next run starts over anyway.
FEW = RetryPolicy(maximum_attempts=3)


@workflow.defn(name=SWEEP_WORKFLOW)
class EvidenceSweepWorkflow:
    """Give up uploads that nobody finalized."""

    @workflow.run
    async def run(self) -> Swept:
        """Sweep once."""
        return await workflow.execute_activity_method(
            EvidenceActivities.sweep_uploads,
            start_to_close_timeout=RUN_LIMIT,
            heartbeat_timeout=HEARTBEAT_LIMIT,
            retry_policy=FEW,
        )


@workflow.defn(name=AUDIT_WORKFLOW)
class EvidenceAuditWorkflow:
    """Hash stored evidence again."""

    @workflow.run
    async def run(self) -> Audited:
        """Hash as much as the rate allows."""
        return await workflow.execute_activity_method(
            EvidenceActivities.audit,
            start_to_close_timeout=RUN_LIMIT,
            heartbeat_timeout=HEARTBEAT_LIMIT,
            retry_policy=FEW,
        )
