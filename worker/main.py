"""`dispatch-worker`: runs workflows and their activities until it is told to stop."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress

import structlog
import uvloop

from runtime.bundle import installed_bundle
from runtime.environment import ConfigurationError
from runtime.garbage import spare_long_lived
from runtime.postgres.pool import assert_application_role, create_pool
from runtime.settings import Settings, load_settings
from runtime.telemetry.logging import configure_logging
from runtime.telemetry.tracing import open_tracing
from runtime.temporal.client import connect_temporal, ensure_search_attributes
from runtime.temporal.command_key import command_key
from worker.clock_keeper import ClockKeeper
from worker.parts import Parts
from worker.promise_keeper import promise_keeper
from worker.record_keeper import keeping_records
from worker.standing_keeper import keep_standing
from worker.ticket import ticket_worker
from worker.watchdog import watched

WORKERS = (ticket_worker,)
"""One for each kind of workflow, on a task queue of its own."""


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
        parts = Parts(client, settings, pool, bundle, key)
        async with AsyncExitStack() as running:
            await running.enter_async_context(watched())
            await running.enter_async_context(records)
            for worker in WORKERS:
                await running.enter_async_context(worker(parts))
            spare_long_lived()
            log.info("worker.polling", task_queue=settings.temporal_task_queue)
            await asyncio.gather(
                keeper.run(stop),
                promise_keeper(parts).run(stop),
                keep_standing(client, settings, stop),
            )
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
