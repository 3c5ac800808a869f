"""The workflows that look after evidence. Each round is one activity."""

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
    from contracts.standing import Rounds
    from workflows.standing import Standing

RUN_LIMIT = timedelta(minutes=10)
HEARTBEAT_LIMIT = timedelta(minutes=1)
# The next round starts over anyway.
FEW = RetryPolicy(maximum_attempts=3)
ONCE = Rounds()


@workflow.defn(name=SWEEP_WORKFLOW)
class EvidenceSweepWorkflow(Standing):
    """Give up uploads that nobody finalized."""

    @workflow.init
    def __init__(self, start: Rounds = ONCE) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: Rounds = ONCE) -> Swept:
        """Sweep once, a round."""
        return await self.stand(start, self._round)

    async def _round(self) -> Swept:
        return await workflow.execute_activity_method(
            EvidenceActivities.sweep_uploads,
            start_to_close_timeout=RUN_LIMIT,
            heartbeat_timeout=HEARTBEAT_LIMIT,
            retry_policy=FEW,
        )


@workflow.defn(name=AUDIT_WORKFLOW)
class EvidenceAuditWorkflow(Standing):
    """Hash stored evidence again."""

    @workflow.init
    def __init__(self, start: Rounds = ONCE) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: Rounds = ONCE) -> Audited:
        """Hash as much as the rate allows, a round."""
        return await self.stand(start, self._round)

    async def _round(self) -> Audited:
        return await workflow.execute_activity_method(
            EvidenceActivities.audit,
            start_to_close_timeout=RUN_LIMIT,
            heartbeat_timeout=HEARTBEAT_LIMIT,
            retry_policy=FEW,
        )
