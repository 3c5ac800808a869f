"""The bare workflow: take a signal, run an activity, nothing else."""

from collections import deque
from datetime import timedelta
from typing import Any

from temporalio import workflow

ACTIVITY = "bench.commit"
LIMIT = timedelta(seconds=30)


@workflow.defn(name="BenchFloor")
class FloorWorkflow:
    """Run one activity, local or regular, for each of a fixed number of signals."""

    def __init__(self) -> None:
        self._inbox: deque[dict[str, Any]] = deque()

    @workflow.run
    async def run(self, commands: int, local: bool) -> None:  # noqa: FBT001  a payload
        """Run until all commands are done."""
        execute = workflow.execute_local_activity if local else workflow.execute_activity
        for _ in range(commands):
            await workflow.wait_condition(lambda: bool(self._inbox))
            await execute(ACTIVITY, self._inbox.popleft(), start_to_close_timeout=LIMIT)

    @workflow.signal
    def command(self, command: dict[str, Any]) -> None:
        """Queue one command."""
        self._inbox.append(command)
