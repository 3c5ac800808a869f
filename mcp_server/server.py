"""The MCP server: lists the toolset and passes every call on to the gateway.

Whoever hosts it gives it an HTTP client of the gateway and the headers that identify the caller:
the gateway itself (in process, the headers of the MCP request), or `dispatch mcp` (its token).
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import httpx
from mcp import types
from mcp.server import Server, ServerRequestContext

from mcp_server.calls import ToolCalls
from mcp_server.catalog import catalog
from mcp_server.keys import role_of
from mcp_server.tool_names import spoken
from policy.command.registry import alias
from policy.reads.guide import load_guide
from policy.rules.bundle import Bundle

Context = ServerRequestContext[Any, Any]
HeadersOf = Callable[[Context], httpx.Headers]


def mcp_server(bundle: Bundle, client: httpx.AsyncClient, headers_of: HeadersOf) -> Server[Any]:
    """Return the server of the closed toolset; `client` reaches the gateway's `/tools`.

    It lists what the caller's role may call; all tools are known, and judged by the gateway.
    """
    tools = catalog(bundle)
    calls = ToolCalls(bundle, client)

    async def list_tools(
        context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        role = role_of(headers_of(context), bundle.role_aliases)
        mine = (name for name, rule in bundle.tools.items() if role in rule.roles)
        return types.ListToolsResult(tools=[tools[alias(name)] for name in mine])

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return await calls.call(params.name, params.arguments or {}, headers_of(context))

    def input_schema(name: str) -> Mapping[str, Any] | None:
        tool = tools.get(alias(name))
        return None if tool is None else tool.input_schema

    return Server(
        "real-dispatch",
        version=version("real-dispatch"),
        title="Real Dispatch",
        instructions=spoken(load_guide().instructions),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=input_schema,
    )
