"""`dispatch-automation`: assigns technicians until it is told to stop (contract 16.2)."""

import asyncio
import os
import signal
import sys

import structlog

from automation.client import Gateway, http_client
from automation.cycles import Cycles
from automation.dispatching import Dispatching
from automation.tally import Tally
from runtime.bundle import installed_bundle
from runtime.environment import ConfigurationError
from runtime.settings import Settings, load_settings
from runtime.telemetry.logging import configure_logging

SERVICE = "dispatch-worker"
STOPPED, FORCED = 0, 1


async def automate(settings: Settings) -> int:
    """Run cycles until SIGINT or SIGTERM; return the exit code."""
    log = structlog.get_logger().bind(worker=settings.worker_identity)
    bundle, tally = installed_bundle(settings), Tally()
    async with http_client(settings) as http:
        gateway = Gateway(http, bundle, tally)
        dispatching = Dispatching(gateway, bundle, settings.worker_identity, tally)
        cycles = Cycles(settings, gateway, dispatching, tally)
        stop = asyncio.Event()

        def request_stop(number: signal.Signals) -> None:
            if not stop.is_set():
                log.info("worker.shutdown_requested", signal=number.name)
            stop.set()
            cycles.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, request_stop, number)
        log.info("worker.started", loop_ms=settings.worker_loop_ms, api_url=settings.api_url)
        running = asyncio.create_task(cycles.run())
        await asyncio.wait(
            {running, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.wait({running}, timeout=settings.worker_shutdown_timeout_ms / 1000)
        if not running.done():
            log.error("worker.shutdown_forced", **tally.fields())
            return FORCED
        running.result()
    log.info("worker.shutdown_complete", **tally.fields())
    return STOPPED


def main() -> None:
    """Start the automation from the environment, if it is switched on at all."""
    try:
        settings, warnings = load_settings(os.environ)
    except ConfigurationError as error:
        sys.exit(f"dispatch-automation: {error}")
    configure_logging(SERVICE, sink=settings.log_sink_path)
    log = structlog.get_logger().bind(worker=settings.worker_identity)
    for warning in warnings:
        log.warning("worker.setting", message=warning)
    if not settings.worker_enabled:
        log.info("worker.disabled")
        return
    try:
        code = asyncio.run(automate(settings))
    except Exception as error:
        log.exception("worker.fatal_error", reason=str(error))
        sys.exit(1)
    sys.exit(code)
