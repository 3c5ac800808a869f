"""A whole stack that runs beside the tests, and its gateway."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import httpx

from runtime.settings import load_settings
from runtime.stack import EmbeddedStack
from tests.integration.servers.gateway import TestGateway

START_LIMIT_SECONDS = 90
UNLIMITED = {"DISPATCH_RATE_LIMITS": "off"}


@contextmanager
def gateway_of(stack: EmbeddedStack) -> Iterator[TestGateway]:
    """Return the gateway of a running stack."""
    env = dict(stack.env)
    settings, _ = load_settings(env)
    url = env["DISPATCH_API_URL"]
    with httpx.Client(base_url=url, timeout=30) as http:
        yield TestGateway(
            url=url,
            env=env,
            owner_url=stack.owner_database_url or "",
            http=http,
            account_id=str(settings.demo_account_id),
            site_id=str(settings.demo_site_id),
            tech_id=str(settings.demo_tech_id),
        )


@contextmanager
def running(folder: Path) -> Iterator[EmbeddedStack]:
    """Run a stack in a thread of its own, whose loop supervises it whatever loop a test uses."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready: SimpleQueue[EmbeddedStack | None] = SimpleQueue()

    async def serve() -> None:
        try:
            async with EmbeddedStack(folder, environ=UNLIMITED) as stack:
                ready.put(stack)
                await stop.wait()
        finally:
            ready.put(None)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started = ready.get(timeout=START_LIMIT_SECONDS)
    assert started is not None, "the stack did not start"
    try:
        yield started
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
