"""The agents' door: MCP over streamable HTTP, every call through the gateway's own routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway import gateway_of
from api.wire.answers import error_answer
from api.wire.body import BODY_LIMIT_BYTES, read_body
from api.wire.errors import ApiError, AuthRequiredError
from api.wire.ijson import check_members
from api.wire.serving import trail_of
from mcp_server.server import Context, mcp_server
from policy.rules.bundle import Bundle

PATH = "/mcp"
ENVELOPE_BYTES = 4096
MOST_MEMBERS = 20_000
"""Of a whole call: it is read several times on its way, each time anew."""
FORWARDED = (
    "authorization",
    "x-actor-id",
    "x-actor-role",
    "x-actor-type",
    "x-account-scope",
    "x-site-scope",
    "x-trace-id",
    "traceparent",
    "tracestate",
    "prefer",
)


class AgentsDoor:
    """Serves MCP without sessions: any gateway can answer any request.

    `gateway` is the whole gateway as others reach it, so that a call by MCP passes the same
    checks, leaves the same rows and the same log record as the call by HTTP that it becomes.
    """

    def __init__(self, gateway: ASGIApp, bundle: Bundle) -> None:
        transport = httpx.ASGITransport(gateway, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        self._sessions = StreamableHTTPSessionManager(
            mcp_server(bundle, self._client, _identity),
            json_response=True,
            stateless=True,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve while the context lasts."""
        async with self._client, self._sessions.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a caller who can be identified."""
        request = Request(scope, receive)
        trail = trail_of(request)
        trail.endpoint = PATH
        if request.method != "POST":
            refused = Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
            await refused(scope, receive, send)
            return
        try:
            await self._admit(request)
            body = await read_body(request, BODY_LIMIT_BYTES + ENVELOPE_BYTES)
            check_members(body, MOST_MEMBERS)
        except ApiError as error:
            trail.error_code, trail.message = error.code, error.message
            await error_answer(error, trail.context).response()(scope, receive, send)
        else:
            await self._sessions.handle_request(scope, _again(body, receive), send)

    async def _admit(self, request: Request) -> None:
        """Raise unless the caller can be identified.

        Dev headers are not believed from a page in a browser: any page could name any actor.
        """
        if "origin" in request.headers and not request.headers.get("authorization", "").strip():
            raise AuthRequiredError
        await gateway_of(request).pipeline.identify(request.headers, trail_of(request))


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more, and then whatever comes next."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _identity(context: Context) -> dict[str, str]:
    """Return the headers of the MCP request that say who calls, and within which trace.

    The call and the request that brought it are logged under one correlation id.
    """
    request = context.request
    if not isinstance(request, Request):
        return {}
    named = {name: request.headers[name] for name in FORWARDED if name in request.headers}
    return {**named, "x-correlation-id": trail_of(request).context.correlation_id}
