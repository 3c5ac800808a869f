"""What one ticket costs: engine history, statements, and the answer to a repeated key."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from temporalio.client import Client

from bench.lifecycle import LIFECYCLE_COMMANDS, Caller, HttpPath, create
from bench.load import Round, Ticket, run_round
from bench.machine import Machine
from records.audit.anchoring import AT_ONCE, Anchoring
from records.audit.signing_keys import signing_keys
from runtime.postgres.pool import create_pool
from runtime.stack.state import ensure_secrets

POLL_SECONDS = 0.1
ANCHORED_COMMANDS = 400
GATEWAY, WORKER = "dispatch-api", "dispatch-worker"
STATEMENT = re.compile(r"^@@([^|]*)\|LOG:  (?:statement|execute [^:]*):", re.MULTILINE)
LOGGING = {"log_line_prefix": "@@%a|", "log_statement": "all"}


@dataclass(frozen=True)
class Lifecycle:
    """What the canonical lifecycle of one ticket left behind."""

    commands: int
    events: int
    history_bytes: int
    statements: dict[str, float]
    """Statements per command of the gateway and of the worker, BEGIN and COMMIT included."""


async def account(machine: Machine, path: HttpPath, client: Client) -> Lifecycle:
    """Take one ticket through the canonical lifecycle and count what it cost."""
    log_path = machine.data_dir / "logs" / "postgres.log"
    async with AsyncExitStack() as stack:
        caller = await path.caller(stack)
        await caller.lifecycle()  # every statement is prepared now
        async with _statement_log(machine):
            start = log_path.stat().st_size
            ticket_id = await caller.lifecycle()
            await asyncio.sleep(POLL_SECONDS)
            written = log_path.read_bytes()[start:].decode(errors="replace")
    counts = Counter(STATEMENT.findall(written))
    handle = client.get_workflow_handle(f"ticket-{ticket_id}")
    await handle.result()  # closed: the history is complete
    history = await handle.fetch_history()
    return Lifecycle(
        commands=LIFECYCLE_COMMANDS,
        events=len(history.events),
        history_bytes=sum(event.ByteSize() for event in history.events),
        statements={name: counts[name] / LIFECYCLE_COMMANDS for name in (GATEWAY, WORKER)},
    )


async def replays(machine: Machine, path: HttpPath, level: int, seconds: float) -> Round:
    """Return a round of answers to keys that were used before."""
    step = create(machine.place)
    async with AsyncExitStack() as stack:
        lanes: list[Ticket] = []
        for _ in range(level):
            caller, key = await path.caller(stack), str(uuid4())
            await caller.send(step, key)
            lanes.append(_repeating(caller, key, machine))
        return await run_round(lanes, seconds)


async def anchoring(machine: Machine, path: HttpPath, level: int, seconds: float) -> float:
    """Return the seconds that it takes to anchor what one command leaves in the audit log."""
    keys, commands, spent = signing_keys(machine.settings), 0, 0.0
    if keys is None:
        raise RuntimeError("the embedded stack has a signing key")
    async with AsyncExitStack() as stack:
        pool = await create_pool(machine.database_url, max_size=1)
        stack.push_async_callback(pool.close)
        anchors = Anchoring(pool, keys, None)
        while await anchors.anchor(*AT_ONCE):  # what was there before
            pass
        while commands < ANCHORED_COMMANDS:
            done = await run_round(await path.lanes(stack, level), seconds)
            began = time.perf_counter()
            while await anchors.anchor(*AT_ONCE):
                pass
            spent += time.perf_counter() - began
            commands += len(done.latencies_ms)
    return spent / commands


def _repeating(caller: Caller, key: str, machine: Machine) -> Ticket:
    step = create(machine.place)

    async def lane() -> AsyncIterator[None]:
        reply = await caller.send(step, key)
        if b"idempotency-replayed: true" not in reply.head.lower():
            raise RuntimeError("a repeated key was not answered from the store")
        yield

    return lane


@asynccontextmanager
async def _statement_log(machine: Machine) -> AsyncIterator[None]:
    """Have Postgres log every statement with the name of the application."""
    parts = urlsplit(machine.database_url)
    password = ensure_secrets(machine.data_dir).postgres_admin_password
    conn = await asyncpg.connect(
        host=parts.hostname, port=parts.port, user="postgres", password=password,
        database="postgres",
    )  # fmt: skip
    try:
        for name, value in LOGGING.items():
            await conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await _reload(conn)
        yield
        for name in LOGGING:
            await conn.execute(f"ALTER SYSTEM RESET {name}")
        await _reload(conn)
    finally:
        await conn.close()


async def _reload(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    await conn.execute("SELECT pg_reload_conf()")
    await asyncio.sleep(POLL_SECONDS)  # sessions take it over before their next statement
