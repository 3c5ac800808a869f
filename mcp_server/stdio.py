"""The MCP server on standard input and output, for clients that start their servers."""

import httpx
from mcp.server.stdio import stdio_server

from mcp_server.server import mcp_server
from policy.rules.bundle import Bundle

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0


async def serve_stdio(bundle: Bundle, api_url: str, identity: dict[str, str]) -> None:
    """Serve until the client closes; every call goes to the gateway with the headers `identity`."""
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=api_url, timeout=timeout) as client:
        server = mcp_server(bundle, client, lambda _: httpx.Headers(identity))
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
