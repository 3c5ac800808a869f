"""Waiting for outcomes: one LISTEN connection per process wakes every waiting request."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from api.wire.counters import Commit, Counters
from contracts.command import NOTIFY_CHANNEL
from policy.command.message import Command
from runtime.postgres.pool import (
    DATABASE_FAULTS,
    GATEWAY_ROLE,
    Connection,
    Pool,
    listening_connection,
)

DECIDED = "SELECT * FROM decided_commands($1)"
FOLLOWED_COMMANDS = 10_000
POLL_SECONDS = 1.0
RECONNECT_SECONDS = 0.2
log = structlog.get_logger()

Use: TypeAlias = tuple[str, str, str, UUID]
"""One use of a key: tenant, actor, endpoint and the key itself."""


class Answered(NamedTuple):
    """The recorded answer of a command; `code` is None when it was allowed."""

    status: int
    text: str
    code: str | None


class Outcomes:
    """The outcomes this process waits for.

    A notification is only a hint: the log is read for what was announced, for everything waited
    for after a reconnect, and every second for whatever a lost notification left behind. Each
    command of this process is counted once, even if its outcome comes when nobody waits any more.
    """

    def __init__(self, pool: Pool, url: str, counters: Counters) -> None:
        self._pool = pool
        self._url = url
        self._counters = counters
        self._followed: OrderedDict[UUID, str | None] = OrderedDict()
        self._waiting: dict[UUID, list[asyncio.Future[Answered | None]]] = {}
        self._running: dict[Use, tuple[str, asyncio.Future[Answered | None]]] = {}
        self._announced: set[UUID] = set()
        self._sweep_at = 0.0
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to listen and to read."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._read())]

    async def stop(self) -> None:
        """Stop; whoever still waits is not answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def running_hash(self, use: Use) -> str | None:
        """Return the hash under which a key is used by a command that is waited for here.

        No row tells of it before somebody was told to come back for it.
        """
        request_hash, future = self._running.get(use, (None, None))
        return None if future is None or future.done() else request_hash

    @contextlib.contextmanager
    def expect(self, command: Command) -> Iterator[asyncio.Future[Answered | None]]:
        """Register interest before the command is sent, so that no answer comes too early.

        The future gives the outcome, or None when the command was announced without a log row of
        its own: then the key has its answer under another command.
        """
        future: asyncio.Future[Answered | None] = asyncio.get_running_loop().create_future()
        use, waiters = use_of(command), self._waiting.setdefault(command.command_id, [])
        waiters.append(future)
        self._running[use] = command.request_hash, future
        self._follow(command)
        try:
            yield future
        finally:
            waiters.remove(future)
            if not waiters:
                self._waiting.pop(command.command_id, None)
                self._running.pop(use, None)

    def _follow(self, command: Command) -> None:
        """Remember whose command it is until it is counted."""
        self._followed.setdefault(command.command_id, command.actor.tenant_id)
        if len(self._followed) > FOLLOWED_COMMANDS:
            self._followed.popitem(last=False)

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                conn = await listening_connection(self._url, role=GATEWAY_ROLE)
                try:
                    lost = asyncio.Event()
                    conn.add_termination_listener(lambda _, lost=lost: lost.set())
                    await conn.add_listener(NOTIFY_CHANNEL, self._announce)
                    self._sweep_at = 0.0
                    self._news.set()
                    await lost.wait()
                    log.warning("outcomes.connection_lost")
                finally:
                    await conn.close(timeout=1)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _announce(self, _: Connection, __: int, ___: str, payload: object) -> None:
        command_id = UUID(str(payload))
        if command_id in self._waiting or self._followed.get(command_id):
            self._announced.add(command_id)
            self._news.set()

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._sweep_at):
                    await self._news.wait()
            self._news.clear()
            announced, self._announced = self._announced, set()
            wanted = announced
            if clock() >= self._sweep_at:
                wanted = announced | self._waiting.keys()
                self._sweep_at = clock() + POLL_SECONDS
            if not wanted:
                continue
            try:
                rows = await self._pool.fetch(DECIDED, wanted)
                self._resolve({row["command_id"]: row for row in rows}, announced)
            except DATABASE_FAULTS:
                self._announced |= announced  # the next sweep tries again
            except Exception:  # a defect must not leave every caller waiting
                log.exception("outcomes.defect")

    def _resolve(self, rows: dict[UUID, asyncpg.Record], announced: set[UUID]) -> None:
        for command_id in announced | rows.keys():
            row = rows.get(command_id)
            if row is not None and (tenant_id := self._followed.get(command_id)):
                self._followed[command_id] = None
                for counters in self._counters.counting(tenant_id):
                    counters.committed(Commit.of(dict(row)))
            outcome = (
                None
                if row is None
                else Answered(row["response_code"], row["response_text"], row["code"])
            )
            for future in self._waiting.get(command_id, ()):
                if not future.done():
                    future.set_result(outcome)


def use_of(command: Command) -> Use:
    """Return which use of a key a command is."""
    actor, key = command.actor, UUID(command.request_id)
    return actor.tenant_id, actor.actor_id, command.endpoint, key
