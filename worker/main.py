"""`dispatch-worker`: runs ticket workflows and their activities until it is told to stop."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version

import structlog
import uvloop
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.evidence.upkeep import EvidenceRates, StoredEvidenceActivities
from activities.ticket.commands import PostgresTicketActivities
from activities.ticket.deadlines.sweep import PostgresSweepActivities
from records.evidence.keeping import EvidenceVault
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.environment import ConfigurationError
from runtime.garbage import spare_long_lived
from runtime.postgres.pool import Pool, assert_application_role, create_pool
from runtime.settings import Settings, load_settings
from runtime.telemetry.logging import configure_logging
from runtime.telemetry.tracing import open_tracing
from runtime.temporal.client import connect_temporal, ensure_search_attributes
from runtime.temporal.command_key import command_key
from runtime.temporal.schedules import ensure_schedules, ensure_sweep
from worker.clock_keeper import ClockKeeper
from worker.record_keeper import keeping_records
from worker.sandbox import ContextFreeRunner
from workflows.deadlines import DeadlineSweepWorkflow
from workflows.evidence import EvidenceAuditWorkflow, EvidenceSweepWorkflow
from workflows.ticket.workflow import TicketWorkflow

OUR_PURE_MODULES = ("contracts", "policy", "workflows", "pydantic")
POLLERS = 20
STICKY_RATIO = 0.5
STICKY_LIMIT = timedelta(seconds=2)
GRACE = timedelta(seconds=10)
CACHED_WORKFLOWS = 2000
TASKS = 32


def build_worker(client: Client, settings: Settings, pool: Pool, key: bytes) -> Worker:
    """Return a worker of the configured task queue.

    Pollers and sticky ratio keep a new ticket's first task from starving; few tasks at once keep
    the rest with the engine, where waiting costs nothing; STICKY_LIMIT is how long a ticket waits
    for a worker that is dead; the sandbox would load our pure modules anew for each ticket.
    """
    bundle, deployment = installed_bundle(settings), deployment_of(settings)
    store = EvidenceStore(settings)
    activities = PostgresTicketActivities(pool, bundle, key, store)
    evidence = StoredEvidenceActivities(pool, EvidenceVault(store.s3), evidence_rates(settings))
    sweep = PostgresSweepActivities(pool, bundle, client)
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OUR_PURE_MODULES)
    return Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=[
            *(TicketWorkflow, DeadlineSweepWorkflow),
            *(EvidenceSweepWorkflow, EvidenceAuditWorkflow),
        ],
        activities=[
            *(activities.execute_command, activities.escalate),
            *(sweep.sweep, sweep.measure),
            *(evidence.sweep_uploads, evidence.audit),
        ],
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


def evidence_rates(settings: Settings) -> EvidenceRates:
    """Return how this installation looks after its evidence."""
    return EvidenceRates(
        upload_deadline=timedelta(hours=settings.evidence_upload_deadline_hours),
        audit_interval=timedelta(hours=settings.evidence_audit_interval_hours),
        audit_bytes=settings.evidence_audit_bytes_per_minute,
    )


async def run(settings: Settings) -> None:
    """Run the worker until SIGINT or SIGTERM; commands in hand are finished."""
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tracing = open_tracing(settings, "dispatch-worker")
    pool = await create_pool(
        settings.database_url.get_secret_value(),
        max_size=settings.db_pool_max,
        application_name="dispatch-worker",
        on_query=tracing.on_query,
    )
    try:
        async with pool.acquire() as conn:
            await assert_application_role(conn)
            key = await command_key(settings, conn)
        client = await connect_temporal(settings, interceptors=tracing.interceptors)
        await ensure_search_attributes(client)
        bundle = installed_bundle(settings)
        keeper = ClockKeeper(client, pool, bundle)
        records = keeping_records(settings, pool, bundle)
        await ensure_sweep(client, settings)
        if settings.s3_bucket:
            await ensure_schedules(client, settings.temporal_task_queue)
        async with build_worker(client, settings, pool, key), records:
            spare_long_lived()
            log.info("worker.polling", task_queue=settings.temporal_task_queue)
            await keeper.run(stop)
            log.info("worker.stopping")
    finally:
        await pool.close()
        tracing.close()


def main() -> None:
    """Start the worker from the environment; exit code 1 when it cannot start."""
    try:
        settings, warnings = load_settings(os.environ)
    except ConfigurationError as error:
        sys.exit(f"dispatch-worker: {error}")
    log = configure_logging("dispatch-worker", sink=settings.log_sink_path)
    for warning in warnings:
        log.warning("worker.setting", message=warning)
    try:
        with suppress(KeyboardInterrupt):
            uvloop.run(run(settings))
    except Exception as error:
        log.exception("worker.fatal_error", reason=str(error))
        sys.exit(1)
