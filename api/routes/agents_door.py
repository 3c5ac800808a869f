"""The agents' door: MCP over streamable HTTP, every call through the gateway's own routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway import gateway_of
from api.identity.dev_headers import REQUIRED
from api.wire.answers import Answer, error_answer, json_answer
from api.wire.body import BODY_LIMIT_BYTES, read_body
from api.wire.errors import ApiError, AuthRequiredError
from api.wire.ijson import check_members, is_json, parse_json
from api.wire.serving import Route, request_log_of
from mcp_server.messages import fault_of, no_json
from mcp_server.server import Context, mcp_server
from policy.rules.bundle import Bundle
from runtime.settings import Settings

PATH = "/mcp"
METADATA_PATH = f"/.well-known/oauth-protected-resource{PATH}"
ENVELOPE_BYTES = 4096
MOST_MEMBERS = 20_000
"""Of a whole call: it is read several times on its way, each time anew."""
# What describes the MCP message and its connection. Every other header is the caller's word to the
# gateway, and means the same as on the gateway's own routes.
OF_THE_MESSAGE = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "host", "origin"),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("last-event-id", "x-correlation-id"),
    }
)
GROUPS_OF_THE_MESSAGE = ("content-", "mcp-", "proxy-")


class AgentsDoor:
    """Serves MCP without sessions: any gateway can answer any request.

    `gateway` is the whole gateway as others reach it, so that a call by MCP passes the same
    checks, leaves the same rows and the same log record as the call by HTTP that it becomes.
    """

    def __init__(self, gateway: ASGIApp, bundle: Bundle) -> None:
        transport = httpx.ASGITransport(gateway, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self._sessions = StreamableHTTPSessionManager(
            mcp_server(bundle, self._client, _headers),
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
        request_log = request_log_of(request)
        request_log.endpoint = PATH
        if request.method != "POST":
            refused = Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
            await refused(scope, receive, send)
            return
        try:
            await self._admit(request)
            body = await read_body(request, BODY_LIMIT_BYTES + ENVELOPE_BYTES)
            fault = _fault_of(body)
        except ApiError as error:
            request_log.error_code, request_log.message = error.code, error.message
            refused = error_answer(error, request_log.context).response()
            if error.status == HTTPStatus.UNAUTHORIZED:
                refused.headers["WWW-Authenticate"] = _challenge(gateway_of(request).settings)
            await refused(scope, receive, send)
            return
        if fault is not None:
            await json_answer(HTTPStatus.BAD_REQUEST, fault).response()(scope, receive, send)
            return
        await self._sessions.handle_request(_accepting(scope), _again(body, receive), send)

    async def _admit(self, request: Request) -> None:
        """Raise unless the caller can be identified.

        Dev headers are not believed from a page in a browser: any page could name any actor.
        Who sends none is told to get a token, as clients of MCP expect in every mode.
        """
        headers = request.headers
        if not headers.get("authorization", "").strip() and (
            "origin" in headers or not any(headers.get(name, "").strip() for name in REQUIRED)
        ):
            raise AuthRequiredError
        await gateway_of(request).pipeline.identify(headers, request_log_of(request))


def metadata_route() -> Route:
    """Return the route that tells a client without a token where to get one (RFC 9728)."""
    return Route("GET", METADATA_PATH, _metadata)


async def _metadata(request: Request) -> Answer:
    settings = gateway_of(request).settings
    issuer = settings.auth_jwt_issuer
    named = issuer is not None and urlsplit(issuer).scheme in {"http", "https"}
    body = {
        "resource": _public_url(settings, PATH),
        "resource_name": "Real Dispatch",
        "bearer_methods_supported": ["header"],
        **({"authorization_servers": [issuer]} if named else {}),
    }
    return json_answer(HTTPStatus.OK, body)


def _fault_of(body: bytes) -> dict[str, Any] | None:
    """Return the JSON-RPC error that answers a body, None for a message that is served.

    Raises `InvalidJsonError` for JSON that is not I-JSON: readers would not agree on what it says.
    """
    if not is_json(body):
        return no_json()
    check_members(body, MOST_MEMBERS)
    return fault_of(parse_json(body))


def _accepting(scope: Scope) -> Scope:
    """Return a request's scope, with what is answered here accepted unless it says otherwise."""
    said = [value.strip() for name, value in scope["headers"] if name == b"accept"]
    if any(said):
        return scope
    others = [pair for pair in scope["headers"] if pair[0] != b"accept"]
    return {**scope, "headers": [*others, (b"accept", b"application/json, text/event-stream")]}


def _challenge(settings: Settings) -> str:
    return f'Bearer resource_metadata="{_public_url(settings, METADATA_PATH)}"'


def _public_url(settings: Settings, path: str) -> str:
    """Return where clients find a path: as configured, for a request's `Host` is its own word."""
    return f"{str(httpx.URL(settings.api_url)).rstrip('/')}{path}"


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more, and then whatever comes next."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _headers(context: Context) -> httpx.Headers:
    """Return the headers of the MCP request that speak to the gateway, byte for byte.

    The call and the request that brought it are logged under one correlation id.
    """
    request = context.request
    if not isinstance(request, Request):
        return httpx.Headers()
    headers = httpx.Headers([pair for pair in request.headers.raw if _is_for_gateway(pair[0])])
    headers["x-correlation-id"] = request_log_of(request).context.correlation_id
    return headers


def _is_for_gateway(name: bytes) -> bool:
    text = name.decode("latin-1").lower()
    return text not in OF_THE_MESSAGE and not text.startswith(GROUPS_OF_THE_MESSAGE)
