"""What every worker is made of, and how it polls its task queue."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any, NamedTuple

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from policy.rules.bundle import Bundle
from runtime.postgres.pool import Pool
from runtime.settings import Settings
from worker.sandbox import ContextFreeRunner

OUR_PURE_MODULES = ("contracts", "policy", "workflows", "pydantic")
POLLERS = 20
STICKY_RATIO = 0.5
STICKY_LIMIT = timedelta(seconds=2)
GRACE = timedelta(seconds=10)
CACHED_WORKFLOWS = 2000
TASKS = 32


class Parts(NamedTuple):
    """What the process opened; `key` checks the gateway's MAC on commands."""

    client: Client
    settings: Settings
    pool: Pool
    bundle: Bundle
    key: bytes


def worker_of(
    parts: Parts,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
) -> Worker:
    """Return a worker of a task queue.

    Pollers and sticky ratio keep a new workflow's first task from starving; few tasks at once keep
    the rest with the engine, where waiting costs nothing; STICKY_LIMIT is how long a workflow waits
    for a worker that is dead; the sandbox would load our pure modules anew for each workflow.
    """
    settings = parts.settings
    deployment = deployment_of(settings)
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES)
    return Worker(
        parts.client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        workflow_runner=ContextFreeRunner(SandboxedWorkflowRunner(restrictions=restrictions)),
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=POLLERS),
        nonsticky_to_sticky_poll_ratio=STICKY_RATIO,
        sticky_queue_schedule_to_start_timeout=STICKY_LIMIT,
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_tasks=TASKS,
        max_concurrent_local_activities=settings.db_pool_max,
        max_concurrent_activities=settings.db_pool_max,
        # Nothing is stored externally, so no payload needs a task of its own.
        max_workflow_task_external_storage_concurrency=1,
        graceful_shutdown_timeout=GRACE,
        # Left to itself, the SDK hashes the code of every module for that.
        build_id=None if deployment else version("real-dispatch"),
        deployment_config=deployment,
    )


def deployment_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """Return the version that this worker is of its deployment; None: it polls unversioned.

    A ticket outlives many releases, so its workflow moves to the current version by itself.
    """
    name, build_id = settings.worker_deployment_name, settings.worker_build_id
    if name is None or build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=name, build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
