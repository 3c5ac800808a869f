"""MCP clients of a gateway, and a second gateway that listens for them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from api.app import create_app
from tests.integration.servers.in_process import settings_of
from tests.polling import eventually

READ_SECONDS = 60


@asynccontextmanager
async def agent(url: str, identity: Mapping[str, str], mode: str = "auto") -> AsyncIterator[Client]:
    """Connect to a gateway's /mcp as whoever the headers say."""
    async with (
        httpx2.AsyncClient(headers=dict(identity), timeout=READ_SECONDS) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def done(client: Client, tool: str, **arguments: Any) -> Any:  # noqa: ANN401  any JSON value
    """Call a tool that must succeed, and return its data."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content["status"] in {200, 201}
    return result.structured_content["data"]


async def refused(client: Client, tool: str, **arguments: Any) -> types.CallToolResult:  # noqa: ANN401
    """Call a tool that must be refused, and return the result."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return result


def text_of(result: types.CallToolResult) -> str:
    """Return all the text of a result."""
    return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))


def code_of(result: types.CallToolResult) -> str:
    """Return the code of an error."""
    return str(result.structured_content["error"]["code"])


@asynccontextmanager
async def second_gateway(env: Mapping[str, str]) -> AsyncIterator[str]:
    """Serve another gateway on the same servers, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(settings_of(env))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))

        async def started() -> bool:
            return server.started

        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await eventually(started, what="the start of the gateway")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
