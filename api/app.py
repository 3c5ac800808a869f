"""The gateway's application: routes from the tool registry, and what the process owns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.answers import Answer, json_answer
from api.auth import Authenticator
from api.body import read_body
from api.bus import DATABASE_FAULTS, Bus
from api.context import PRODUCTION_HEADERS, SECURITY_HEADERS
from api.errors import ApiError
from api.ijson import parse_body
from api.pipeline import Call, Pipeline
from api.reads import Reads
from api.serving import Handler, Serving, not_found, served, trail_of
from api.waiting import Outcomes
from policy.bundle import Bundle, ToolRule
from policy.codes import Code
from policy.model import Role
from policy.values import parse_uuid
from runtime.database import assert_application_role, create_pool
from runtime.environment import Mode
from runtime.policy import installed_bundle
from runtime.settings import Settings
from runtime.signing import command_key
from runtime.temporal import connect_temporal

COMMAND_ROUTE = "/commands/{command_id}"


@dataclass(frozen=True)
class Gateway:
    """What the process owns while it serves."""

    pipeline: Pipeline
    reads: Reads


def create_app(settings: Settings) -> ASGIApp:
    """Return the ASGI application; it opens its connections when it starts."""
    bundle = installed_bundle(settings)
    authenticator = Authenticator(settings, bundle.role_aliases)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, bundle, authenticator) as gateway:
            app.state.gateway = gateway
            yield

    app = FastAPI(
        title="Real Dispatch",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        exception_handlers={404: _unmatched, 405: _unmatched},
    )
    for name, rule in bundle.tools.items():
        handler = _command(name, rule) if rule.mutating else READS.get(name)
        if handler is not None:
            add(
                app,
                rule.method,
                rule.route,
                handler if rule.mutating else _read(name, rule, handler),
            )
    add(app, "GET", COMMAND_ROUTE, _command_status)
    production = settings.mode is Mode.PRODUCTION
    return Serving(app, PRODUCTION_HEADERS if production else SECURITY_HEADERS)


def add(app: FastAPI, method: str, route: str, handler: Handler) -> None:
    """Add one route."""
    app.add_api_route(route, served(route, handler), methods=[method], response_class=Response)


@asynccontextmanager
async def opened(
    settings: Settings, bundle: Bundle, authenticator: Authenticator
) -> AsyncIterator[Gateway]:
    """Open what the gateway owns, and close it at the end."""
    url = settings.database_url.get_secret_value()
    pool = await create_pool(url, max_size=settings.db_pool_max, application_name="dispatch-api")
    outcomes = Outcomes(pool, url)
    try:
        async with pool.acquire() as conn:
            await assert_application_role(conn)
            key = await command_key(settings, conn)
        client = await connect_temporal(settings, lazy=True)
        await outcomes.start()
        bus = Bus(pool, client, settings.temporal_task_queue, key, bundle)
        wait = settings.command_wait_seconds
        yield Gateway(Pipeline(bundle, authenticator, bus, outcomes, wait), Reads(pool, bundle))
    finally:
        await outcomes.stop()
        await pool.close()


async def _unmatched(request: Request, _: Exception) -> Response:
    trail = trail_of(request)
    trail.error_code = Code.NOT_FOUND
    return not_found().response()


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _call(
    request: Request, name: str, rule: ToolRule, ticket_id: UUID | None, body: object
) -> Call:
    trail = trail_of(request)
    trail.tool_name, trail.is_command = name, rule.mutating
    trail.ticket_id = None if ticket_id is None else str(ticket_id)
    return Call(name, rule, ticket_id, body, trail.context, request.headers, trail)


def _command(name: str, rule: ToolRule) -> Handler:
    async def handle(request: Request) -> Answer:
        ticket_id = _path_uuid(request, Code.NOT_FOUND) if rule.requires_ticket_id else None
        body = parse_body(await read_body(request))
        return await _gateway(request).pipeline.command(_call(request, name, rule, ticket_id, body))

    return handle


def _read(name: str, rule: ToolRule, read: Handler) -> Handler:
    async def handle(request: Request) -> Answer:
        call = _call(request, name, rule, None, {})
        request.state.actor = await _gateway(request).pipeline.admit(call)
        try:
            return await read(request)
        except DATABASE_FAULTS as error:
            raise ApiError(Code.DATABASE_UNAVAILABLE) from error

    return handle


def _path_uuid(request: Request, code: Code) -> UUID:
    try:
        return parse_uuid(request.path_params["ticketId"])
    except ValueError:
        raise ApiError(code) from None


async def _ticket(request: Request) -> Answer:
    ticket_id = _path_uuid(request, Code.INVALID_TICKET_ID)
    return json_answer(200, await _gateway(request).reads.ticket(request.state.actor, ticket_id))


async def _timeline(request: Request) -> Answer:
    ticket_id, query = _path_uuid(request, Code.INVALID_TICKET_ID), request.query_params
    body = await _gateway(request).reads.timeline(request.state.actor, ticket_id, query)
    return json_answer(200, body)


async def _evidence(request: Request) -> Answer:
    ticket_id, query = _path_uuid(request, Code.INVALID_TICKET_ID), request.query_params
    body = await _gateway(request).reads.evidence(request.state.actor, ticket_id, query)
    return json_answer(200, body)


async def _command_status(request: Request) -> Answer:
    gateway, trail = _gateway(request), trail_of(request)
    identity = await gateway.pipeline.identify(request.headers, trail)
    if identity.actor_role is Role.SYSTEM:
        raise ApiError(Code.FORBIDDEN, details={"actor_role": "system"})
    try:
        command_id = parse_uuid(request.path_params["command_id"])
    except ValueError:
        raise ApiError(Code.COMMAND_NOT_FOUND) from None
    try:
        return json_answer(200, await gateway.reads.command(identity.actor, command_id))
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error


READS: dict[str, Handler] = {
    "ticket.get": _ticket,
    "ticket.timeline": _timeline,
    "closeout.list_evidence": _evidence,
}
