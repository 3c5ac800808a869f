"""Running an activity at once in the workflow's own task, and as one of its own if that fails."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from contracts.engine_limits import shown_summary

LOCAL_LIMIT = timedelta(seconds=5)
ACTIVITY_LIMIT = timedelta(seconds=30)
ONCE = RetryPolicy(maximum_attempts=1)
FOREVER = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10)
)
A = TypeVar("A")
P = TypeVar("P")
R = TypeVar("R")


async def local_first(
    method: Callable[[A, P], Awaitable[R]], argument: P, *, summary: str, told: Mapping[str, str]
) -> R:
    """Run an activity at once in this task; if that fails, as one that operators can see.

    `told` is what the log says of it.
    """
    try:
        return await workflow.execute_local_activity_method(
            method, argument, start_to_close_timeout=LOCAL_LIMIT, retry_policy=ONCE
        )
    except FailureError as error:  # not always an ActivityError around it
        workflow.logger.warning(
            "the local attempt failed, it goes on as an activity",
            extra={**told, "summary": summary, "cause": str(error.cause or error)},
        )
        return await regularly(method, argument, summary)


async def regularly(method: Callable[[A, P], Awaitable[R]], argument: P, summary: str) -> R:
    """Run an activity as one that operators can see, for as long as it takes."""
    return await workflow.execute_activity_method(
        method,
        argument,
        start_to_close_timeout=ACTIVITY_LIMIT,
        retry_policy=FOREVER,
        summary=shown_summary(summary),
    )
