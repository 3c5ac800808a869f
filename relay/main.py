"""`dispatch-outbox`: delivers messages until told to stop, or for so many iterations."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog

from policy.delivery.retry import RetryRules
from relay.alarm import Alarm
from relay.carriers import Carriers
from relay.relay import LANES, Relay, Result
from relay.rows import Outbox
from runtime.bundle import installed_bundle
from runtime.environment import ConfigurationError
from runtime.postgres.pool import assert_application_role, create_pool
from runtime.settings import Settings, load_settings
from runtime.telemetry.logging import configure_logging

SERVICE = "dispatch-outbox"
log = structlog.get_logger()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Relay]:
    """Open what a relay owns, and close it at the end."""
    url = settings.database_url.get_secret_value()
    retry = RetryRules(
        max_attempts=settings.outbox_max_attempts,
        base_ms=settings.outbox_retry_base_ms,
        max_ms=settings.outbox_retry_max_ms,
    )
    pool = await create_pool(url, max_size=settings.db_pool_max, application_name=SERVICE)
    alarm = Alarm(url)
    try:
        async with pool.acquire() as conn:
            await assert_application_role(conn)
        outbox = Outbox(pool, installed_bundle(settings), retry, settings.outbox_timeout_ms)
        timeout = httpx.Timeout(settings.outbox_timeout_ms / 1000)
        async with httpx.AsyncClient(timeout=timeout) as client:
            carriers = Carriers(settings, client, outbox)
            await alarm.start()
            yield Relay(settings, outbox, carriers, alarm)
    finally:
        await alarm.stop()
        await pool.close()


async def deliver(settings: Settings, iterations: int | None) -> Result:
    """Deliver for so many iterations, or without a number until SIGINT or SIGTERM.

    Messages in hand are finished before it returns.
    """
    async with opened(settings) as relay:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, relay.stop)
        if iterations is not None:
            return await relay.run(iterations)
        log.info("outbox.started", sms_enabled=settings.sms_enabled, lanes=LANES)
        return await relay.serve()


def main() -> None:
    """Start the relay from the environment; exit code 1 when it cannot go on.

    With DISPATCH_OUTBOX_ITERATIONS set, it stops after so many.
    """
    try:
        settings, warnings = load_settings(os.environ)
    except ConfigurationError as error:
        sys.exit(f"{SERVICE}: {error}")
    configure_logging(SERVICE, sink=settings.log_sink_path)
    for warning in warnings:
        log.warning("outbox.setting", message=warning)
    bounded = "outbox_iterations" in settings.model_fields_set
    try:
        done = asyncio.run(deliver(settings, settings.outbox_iterations if bounded else None))
    except Exception as error:
        log.exception("outbox.fatal_error", reason=str(error))
        sys.exit(1)
    log.info("outbox.stopped", **done.answer())
