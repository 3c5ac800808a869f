"""What the processes of the other engines share; runs in their environment."""

import os
from collections.abc import Awaitable, Callable

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from runtime.postgres.pool import Pool, create_pool


def serve(make: Callable[[Pool], Awaitable[object]]) -> None:
    """Serve the ASGI application that `make` returns, on uvloop, until it is stopped."""
    uvloop.run(_serve(make))


async def _serve(make: Callable[[Pool], Awaitable[object]]) -> None:
    pool = await create_pool(
        os.environ["BENCH_DATABASE_URL"], max_size=int(os.environ["BENCH_POOL_SIZE"])
    )
    server = Server(
        await make(pool),
        address=os.environ["BENCH_HOST"],
        port=int(os.environ["BENCH_PORT"]),
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        log_access=False,
    )
    await server.serve()
