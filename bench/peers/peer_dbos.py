"""Tickets on DBOS behind HTTP, in two ways; runs in the environment of the peers.

* POST /ticket: one workflow per ticket, which receives its commands as messages. It is what a
  workflow of ours is: the durable owner of its ticket, which orders the commands.
* POST /command: one workflow per command. Nothing owns the ticket; the lock on its row orders.

Both commit in a step, and answer when the rows are committed, as soon as this process knows.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from dbos import DBOS, SetWorkflowID

from bench.floor.rows import COMMANDS, commit
from bench.peers.peer_server import serve
from runtime.postgres.pool import Pool

RECEIVE_SECONDS = 3600
DATABASE_CONNECTIONS = 20  # each call of DBOS into its database holds one

Command = dict[str, Any]
Handler = Callable[[Command], Awaitable[object]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def make(pool: Pool) -> object:
    """Launch DBOS and return the application."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["BENCH_DBOS_DATABASE_URL"],
            "sys_db_pool_size": DATABASE_CONNECTIONS,
            "enable_otlp": False,
            "log_level": "WARNING",
        }
    )

    async def write(command: Command) -> None:
        await commit(pool, command)

    step = DBOS.step(name="commit")(write)
    routes = {"/ticket": _by_ticket(step), "/command": _by_command(step)}
    DBOS.launch()
    return _application(routes)


def _by_ticket(step: Handler) -> Handler:
    committed: dict[str, asyncio.Future[None]] = {}

    async def ticket(command: Command) -> None:
        for left in reversed(range(COMMANDS)):
            await step(command)
            committed.pop(command["command_id"]).set_result(None)
            if left:
                command = await DBOS.recv_async(timeout_seconds=RECEIVE_SECONDS)

    workflow = DBOS.workflow(name="Ticket")(ticket)

    async def handle(command: Command) -> None:
        done = asyncio.get_running_loop().create_future()
        committed[command["command_id"]] = done
        if command["seq"] == 1:
            with SetWorkflowID(command["ticket_id"]):
                await DBOS.start_workflow_async(workflow, command)
        else:
            await DBOS.send_async(command["ticket_id"], command)
        await done

    return handle


def _by_command(step: Handler) -> Handler:
    async def execute(command: Command) -> None:
        await step(command)

    workflow = DBOS.workflow(name="Command")(execute)

    async def handle(command: Command) -> None:
        with SetWorkflowID(command["command_id"]):
            handle = await DBOS.start_workflow_async(workflow, command)
        await handle.get_result()

    return handle


def _application(routes: dict[str, Handler]) -> object:
    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await routes[scope["path"]](orjson.loads(body))
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return application


if __name__ == "__main__":
    serve(make)
