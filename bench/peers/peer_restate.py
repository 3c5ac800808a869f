"""Tickets on Restate: one virtual object per ticket; runs in the environment of the peers.

The object takes the commands of its ticket one at a time; each commits in one `ctx.run`.
"""

from typing import Any

import restate

from bench.floor.rows import commit
from bench.peers.peer_server import serve
from runtime.postgres.pool import Pool


async def make(pool: Pool) -> object:
    """Return the service."""

    async def write(command: dict[str, Any]) -> None:
        await commit(pool, command)

    async def execute(context: restate.ObjectContext, command: dict[str, Any]) -> None:
        await context.run_typed("commit", write, command=command)

    ticket = restate.VirtualObject("Ticket")
    ticket.handler()(execute)
    return restate.app([ticket])


if __name__ == "__main__":
    serve(make)
