"""The gateway's application: what the process owns, and every route."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.auth import Authenticator
from api.bus import Bus
from api.cockpit import Cockpit
from api.command_status import command_status
from api.context import PRODUCTION_HEADERS, SECURITY_HEADERS
from api.gateway import Gateway
from api.health import Health
from api.pipeline import Pipeline
from api.read_tools import ReadTools
from api.reads import TicketReads
from api.routes_codec import codec_routes
from api.routes_health import health_routes
from api.routes_tools import tool_routes
from api.serving import Route, Serving, not_found, served, trail_of
from api.waiting import Outcomes
from policy.bundle import Bundle
from policy.codes import Code
from runtime.database import Pool, assert_application_role, create_pool
from runtime.environment import Mode
from runtime.policy import installed_bundle
from runtime.settings import Settings
from runtime.signing import command_key
from runtime.temporal import connect_temporal

HEALTH_CONNECTIONS = 2


def create_app(settings: Settings) -> ASGIApp:
    """Return the ASGI application; it opens its connections when it starts."""
    bundle = installed_bundle(settings)
    authenticator = Authenticator(settings, bundle.role_aliases)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.gateway = await opened(stack, settings, bundle, authenticator)
            yield

    app = FastAPI(
        title="Real Dispatch",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        exception_handlers={404: _unmatched, 405: _unmatched},
    )
    for route in (*routes(bundle), *codec_routes(settings)):
        handler = served(route.path, route.handler)
        app.add_api_route(route.path, handler, methods=[route.method], response_class=Response)
    production = settings.mode is Mode.PRODUCTION
    return Serving(app, PRODUCTION_HEADERS if production else SECURITY_HEADERS)


def routes(bundle: Bundle) -> Iterator[Route]:
    """Yield everything the gateway answers."""
    yield from tool_routes(bundle)
    yield Route("GET", "/commands/{command_id}", command_status)
    yield from health_routes()


async def opened(
    stack: AsyncExitStack, settings: Settings, bundle: Bundle, authenticator: Authenticator
) -> Gateway:
    """Open what the gateway owns; `stack` closes it."""
    pool = await _pool(stack, settings, settings.db_pool_max, "dispatch-api")
    async with pool.acquire() as conn:
        await assert_application_role(conn)
        key = await command_key(settings, conn)
    client = await connect_temporal(settings, lazy=True)
    outcomes = Outcomes(pool, settings.database_url.get_secret_value())
    stack.push_async_callback(outcomes.stop)
    await outcomes.start()
    bus = Bus(pool, client, settings.temporal_task_queue, key, bundle)
    # Its own connections: a busy pool must not make a healthy database look down.
    spare = await _pool(stack, settings, HEALTH_CONNECTIONS, "dispatch-health")
    return Gateway(
        settings=settings,
        bundle=bundle,
        pipeline=Pipeline(bundle, authenticator, bus, outcomes, settings.command_wait_seconds),
        reads=read_tools(pool, bundle),
        health=Health(settings, bundle, spare, client),
        pool=pool,
    )


def read_tools(pool: Pool, bundle: Bundle) -> ReadTools:
    """Return the read tools over the pool."""
    tickets = TicketReads(pool, bundle)
    return ReadTools(
        {
            "ticket.get": tickets.ticket,
            "ticket.timeline": tickets.timeline,
            "closeout.list_evidence": tickets.evidence,
            "dispatcher.cockpit": Cockpit(pool, bundle).read,
        }
    )


async def _pool(stack: AsyncExitStack, settings: Settings, size: int, name: str) -> Pool:
    url = settings.database_url.get_secret_value()
    pool = await create_pool(url, max_size=size, application_name=name)
    stack.push_async_callback(pool.close)
    return pool


async def _unmatched(request: Request, _: Exception) -> Response:
    trail = trail_of(request)
    trail.error_code = Code.NOT_FOUND
    return not_found().response()
