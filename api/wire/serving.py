"""Serving: every request gets its context, its headers, its log record and never a bare error."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire.answers import Answer, error_answer, json_answer
from api.wire.context import read_context
from api.wire.counters import Counters
from api.wire.errors import ApiError
from api.wire.request_log import UNMATCHED, RequestLog
from policy.codes import CODES, Code
from policy.values import parse_uuid

Handler = Callable[[Request], Awaitable[Answer]]


class Route(NamedTuple):
    """One thing the gateway answers; `path` is its template."""

    method: str
    path: str
    handler: Handler


REQUEST_LOG = "dispatch.request_log"
ERROR = 400
HEALTH = "/health"
NO_ROUTE = ApiError(Code.NOT_FOUND)
log = structlog.get_logger()


class Serving:
    """The outermost layer: reads the context, completes the headers, writes one log record."""

    def __init__(
        self, app: ASGIApp, security_headers: Mapping[str, str], counters: Counters
    ) -> None:
        self._app = app
        self._security_headers = dict(security_headers)
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_log = RequestLog(read_context(Headers(scope=scope)))
        scope[REQUEST_LOG] = request_log
        status = 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(raw=message["headers"]), request_log)
            await send(message)

        try:
            await self._app(scope, receive, finish)
        finally:
            seconds = time.perf_counter() - started
            self._count(scope, request_log, status, seconds)
            _record(scope, request_log, status, seconds)

    def _count(self, scope: Scope, request_log: RequestLog, status: int, seconds: float) -> None:
        if not status:  # the caller left before there was an answer
            return
        # What nobody in particular asked for is seen by every tenant, and names no ticket of one.
        ticket_id = None if request_log.tenant_id is None else request_log.ticket_id
        for counters in self._counters.counting(request_log.tenant_id):
            if not request_log.counted:
                counters.request(scope["method"], request_log.endpoint, status)
            if request_log.error_code is not None:
                counters.error(request_log.error_code, ticket_id)
            if request_log.replay:
                counters.replay()
            counters.duration(scope["method"], request_log.endpoint, seconds)

    def _complete(self, headers: MutableHeaders, request_log: RequestLog) -> None:
        for name, value in self._security_headers.items():
            headers.setdefault(name, value)
        headers["X-Correlation-Id"] = request_log.context.correlation_id
        if request_log.context.request_id is not None:
            headers["X-Request-Id"] = request_log.context.request_id
        if request_log.command_id is not None:
            headers["X-Command-Id"] = str(request_log.command_id)


def served(endpoint: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return `handler` as a route: its errors become envelopes, its defects a 500."""
    pattern = compile_path(endpoint)[0]

    async def serve(request: Request) -> Response:
        request_log = request_log_of(request)
        request_log.endpoint, request_log.ticket_id = endpoint, _ticket_id(request)
        try:
            exact = is_exact(request.scope, pattern)
            answer = await handler(request) if exact else _refused(NO_ROUTE, request_log)
        except ApiError as error:
            answer = _refused(error, request_log)
        except Exception as error:
            log.exception("request.defect")
            reference = str(uuid4())
            defect = ApiError(Code.INTERNAL_ERROR, details={"reference": reference})
            request_log.error_code, request_log.message = defect.code, reference
            request_log.reason = f"{type(error).__name__}: {error}"
            answer = error_answer(defect, request_log.context)
        if answer.code is not None and request_log.error_code is None:  # decided by the engine
            request_log.error_code, request_log.message = answer.code, answer.message
        return answer.response()

    return serve


def is_exact(scope: Scope, pattern: re.Pattern[str]) -> bool:
    """Return whether the path is the route's own, and not only decodes to it (contract 3.1).

    The router overlooks a line break at the end, and takes an encoded slash for a slash.
    """
    sent = scope.get("raw_path") or b""
    return pattern.fullmatch(scope["path"]) is not None and b"%2f" not in sent.lower()


def _ticket_id(request: Request) -> str | None:
    """Return the ticket that the path names, as it is logged whatever becomes of the request."""
    try:
        return str(parse_uuid(request.path_params.get("ticketId")))
    except ValueError:
        return None


def _refused(error: ApiError, request_log: RequestLog) -> Answer:
    """Return the answer to an error, and note it for the log."""
    request_log.error_code, request_log.message = error.code, error.message
    if error.code is not Code.NOT_FOUND:
        return error_answer(error, request_log.context)
    request_log.endpoint = UNMATCHED
    return not_found()


def request_log_of(request: Request) -> RequestLog:
    """Return the request_log of a request that passed through `Serving`."""
    request_log: RequestLog = request.scope[REQUEST_LOG]
    return request_log


def not_found(message: str = CODES[Code.NOT_FOUND].message) -> Answer:
    """Return the answer of the unmatched route, exactly (contract 8.1)."""
    error = {"code": Code.NOT_FOUND, "message": message, "request_id": None}
    return json_answer(404, {"error": error})


def _record(scope: Scope, request_log: RequestLog, status: int, seconds: float) -> None:
    context = request_log.context
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "endpoint": request_log.endpoint,
        "request_id": context.request_id,
        "correlation_id": context.correlation_id,
        "trace_id": context.trace.trace_id,
        "actor_type": request_log.actor_type,
        "actor_id": request_log.actor_id,
        "actor_role": request_log.actor_role,
        "tool_name": request_log.tool_name,
        "ticket_id": request_log.ticket_id,
        "command_id": None if request_log.command_id is None else str(request_log.command_id),
        "replay": request_log.replay,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
    }
    failed = status >= ERROR
    if request_log.is_command or failed:
        fields |= {"trace_parent": context.trace.parent, "trace_state": context.trace.state}
    if failed:
        fields |= {"error_code": request_log.error_code, "message": request_log.message}
    if request_log.reason is not None:
        fields["reason"] = request_log.reason
    unhealthy = failed and scope["path"] != HEALTH
    (log.error if unhealthy else log.info)("request", **fields)
