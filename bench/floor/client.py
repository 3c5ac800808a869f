"""The bare client: signals a workflow and waits for the notification of its commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from temporalio.client import Client

from bench.floor.rows import CHANNEL, COMMANDS, commands
from bench.floor.worker import TASK_QUEUE
from bench.lifecycle import Place
from bench.load import Lanes, Ticket
from runtime.postgres.pool import Connection, listening_connection


class FloorClient:
    """Sends bare commands; one LISTEN connection wakes whoever waits."""

    def __init__(self, client: Client, url: str, place: Place) -> None:
        self._client = client
        self._url = url
        self._place = place
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._listener: Connection | None = None

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._listener = await listening_connection(self._url)
        await self._listener.add_listener(CHANNEL, self._wake)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.close()

    def lanes(self, *, local: bool) -> Lanes:
        """Return lanes of the loop with a local or with a regular activity."""
        ticket: Ticket = partial(self._ticket, local=local)

        async def lanes(_: AsyncExitStack, level: int) -> list[Ticket]:
            return [ticket] * level

        return lanes

    async def _ticket(self, *, local: bool) -> AsyncIterator[None]:
        """Send the commands of one ticket, each when the one before was committed."""
        first, *others = commands(self._place.account_id, self._place.site_id)
        done = self._expect(first)
        handle = await self._client.start_workflow(
            "BenchFloor",
            args=[COMMANDS, local],
            id=f"bench-{first['ticket_id']}",
            task_queue=TASK_QUEUE,
            start_signal="command",
            start_signal_args=[first],
        )
        await done
        yield
        for command in others:
            done = self._expect(command)
            await handle.signal("command", command)
            await done
            yield

    def _expect(self, command: dict[str, Any]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[command["command_id"]] = future
        return future

    def _wake(self, _: Connection, __: int, ___: str, payload: object) -> None:
        future = self._waiting.pop(str(payload), None)
        if future is not None and not future.done():
            future.set_result(None)
