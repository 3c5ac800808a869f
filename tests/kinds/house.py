"""The servers, two gateways and a worker that know every kind of workflow, each a process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import asyncpg
import httpx
from temporalio.client import Client

import runtime.stack.temporal
from runtime.postgres.pool import Connection
from runtime.settings import load_settings
from runtime.stack import EmbeddedStack, PartName
from runtime.stack.applications import api_part, worker_part
from runtime.stack.part import SupervisedPart
from runtime.stack.ports import LOOPBACK, PortChooser
from runtime.temporal.client import connect_temporal
from tests.integration.servers.running_stack import UNLIMITED
from tests.polling import eventually

SERVERS = (PartName.POSTGRES, PartName.S3, PartName.TEMPORAL)
PROGRAM = (sys.executable, "-m", "tests.kinds.programs")
SUGGEST_AFTER_EVENTS = 80
SUGGESTION = f"limit.historyCount.suggestContinueAsNew={SUGGEST_AFTER_EVENTS}"
TABLES = Path(__file__).with_name("counter") / "table.sql"
WAITS_AT_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@dataclass(frozen=True)
class House:
    """What runs, and how a test gets at it."""

    env: Mapping[str, str]
    owner_url: str
    gateways: tuple[httpx.AsyncClient, ...]
    engine: Client
    worker: SupervisedPart

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Connection]:
        """Connect as the owner of the schema, looking at the tests' tenant."""
        conn = await asyncpg.connect(self.owner_url)
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', false)")
        try:
            yield conn
        finally:
            await conn.close()

    async def kill_worker(self) -> None:
        """Kill the worker as the kernel would; wait until the supervisor has started another."""
        assert self.worker.record is not None
        killed = self.worker.record.pid
        with suppress(ProcessLookupError):
            os.kill(killed, signal.SIGKILL)

        async def is_back() -> bool:
            return self.worker.record is not None and self.worker.record.pid != killed

        await eventually(is_back, within=30, what="another worker")


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """Start everything; the engine suggests to continue as new very soon."""
    tuned = (*runtime.stack.temporal._DYNAMIC_CONFIG, SUGGESTION)  # noqa: SLF001  one value more
    ports, limits = PortChooser(), httpx.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        stack.callback(ports.release)
        with patch("runtime.stack.temporal._DYNAMIC_CONFIG", tuned):
            embedded = EmbeddedStack(folder, parts=SERVERS, environ=UNLIMITED)
            await stack.enter_async_context(embedded)
        owner_url = embedded.owner_database_url or ""
        await _create_tables(owner_url)
        env = dict(embedded.env)
        part = worker_part(folder / "logs" / "worker.log", env)
        worker = SupervisedPart(replace(part, command=(*PROGRAM, "worker")), _say, _nothing)
        clients = []
        for number in (1, 2):
            port = ports.choose()
            url = f"http://{LOOPBACK}:{port}"
            env = {
                **embedded.env,
                "DISPATCH_API_HOST": LOOPBACK, "DISPATCH_API_PORT": str(port),
                "DISPATCH_API_URL": url,
            }  # fmt: skip
            part = api_part(folder / "logs" / f"gateway-{number}.log", env)
            gateway = SupervisedPart(replace(part, command=(*PROGRAM, "api")), _say, _nothing)
            await gateway.start()
            stack.push_async_callback(gateway.stop)
            client = httpx.AsyncClient(base_url=url, timeout=60, limits=limits)
            clients.append(await stack.enter_async_context(client))
        await worker.start()
        stack.push_async_callback(worker.stop)
        engine = await connect_temporal(load_settings(env)[0])
        yield House(env, owner_url, tuple(clients), engine, worker)


async def _create_tables(owner_url: str) -> None:
    conn = await asyncpg.connect(owner_url)
    try:
        await conn.execute(await asyncio.to_thread(TABLES.read_text))
    finally:
        await conn.close()


def _say(_: str) -> None:
    """Say nothing of what the supervisor does."""


def _nothing() -> None:
    """Do nothing when a part's state changes."""
