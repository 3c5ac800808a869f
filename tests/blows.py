"""What an operator can do to a running workflow, by mistake or on purpose."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client

REASON = "an operator did it"
Blow = Callable[[Client, str], Awaitable[None]]


async def terminate(engine: Client, workflow_id: str) -> None:
    """End it at once; what it had accepted is gone."""
    await engine.get_workflow_handle(workflow_id).terminate(REASON)


async def cancel(engine: Client, workflow_id: str) -> None:
    """Ask it to end."""
    await engine.get_workflow_handle(workflow_id).cancel()


async def delete(engine: Client, workflow_id: str) -> None:
    """End it and forget its history."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(
        namespace=engine.namespace, workflow_execution=execution
    )
    await engine.workflow_service.delete_workflow_execution(request)


async def reset(engine: Client, workflow_id: str) -> None:
    """Let it begin again after its first task."""
    run_id = (await engine.get_workflow_handle(workflow_id).describe()).run_id
    history = await engine.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    started = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    first = next((each.event_id for each in history.events if each.event_type == started), None)
    if first is None:  # it has not begun
        return
    request = ResetWorkflowExecutionRequest(
        namespace=engine.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        workflow_task_finish_event_id=first,
        request_id=str(uuid4()),
        reason=REASON,
    )
    await engine.workflow_service.reset_workflow_execution(request)


BLOWS = (terminate, reset, delete, cancel)
