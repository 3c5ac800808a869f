"""The bare worker, tuned like the product's; configured by the environment like it."""

import asyncio
import os
import signal
import sys
from typing import Any

import uvloop
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.floor.rows import commit
from bench.floor.workflow import ACTIVITY, FloorWorkflow
from bench.machine import Machine
from runtime.postgres.pool import Pool, create_pool
from runtime.settings import Settings, load_settings
from runtime.stack.part import Part
from runtime.stack.temporal import has_poller
from worker.parts import CACHED_WORKFLOWS, POLLERS, STICKY_LIMIT, STICKY_RATIO

TASK_QUEUE = "bench-floor"


def build_worker(client: Client, settings: Settings, pool: Pool) -> Worker:
    """Return a worker with the product's tuning and the bare workflow."""

    @activity.defn(name=ACTIVITY)
    async def run(command: dict[str, Any]) -> None:
        await commit(pool, command)

    restrictions = SandboxRestrictions.default.with_passthrough_modules("bench")
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[FloorWorkflow],
        activities=[run],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=POLLERS),
        nonsticky_to_sticky_poll_ratio=STICKY_RATIO,
        sticky_queue_schedule_to_start_timeout=STICKY_LIMIT,
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_local_activities=settings.db_pool_max,
        max_concurrent_activities=settings.db_pool_max,
    )


def floor_worker(machine: Machine) -> Part:
    """Return the process of the bare worker; ready when its task queue is polled."""
    chosen = machine.settings

    async def ready() -> bool:
        return await has_poller(chosen.temporal_address, chosen.temporal_namespace, TASK_QUEUE)

    return Part(
        name="floor worker",
        command=(sys.executable, "-m", "bench.floor.worker"),
        log_path=machine.data_dir / "logs" / "floor.log",
        ready=ready,
        env={**os.environ, **machine.env},
    )


async def run() -> None:
    """Work until SIGTERM."""
    settings, _ = load_settings(os.environ)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await create_pool(
        settings.database_url.get_secret_value(), max_size=settings.db_pool_max
    )
    client = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
    async with build_worker(client, settings, pool):
        await stop.wait()
    await pool.close()


if __name__ == "__main__":
    uvloop.run(run())
