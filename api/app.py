"""The gateway's application: what the process owns, and every route."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as AsgiRoute
from starlette.types import ASGIApp

from api.gateway import gateway_of
from api.identity.authenticator import Authenticator
from api.lifespan import opened
from api.openapi.routes import docs_routes
from api.openapi.welcome import wants_page, welcome_page
from api.routes.agents_door import PATH as AGENTS_DOOR
from api.routes.agents_door import AgentsDoor, metadata_route
from api.routes.codec import codec_routes
from api.routes.commands import command_status
from api.routes.dossier import dossier_routes
from api.routes.escalations import escalations
from api.routes.evidence import evidence_routes
from api.routes.health import health_routes
from api.routes.invoice import invoice_routes
from api.routes.messages import message_routes
from api.routes.ops import ops_routes
from api.routes.sms import sms_routes
from api.routes.tools import tool_routes
from api.routes.tools_by_name import surface_routes
from api.wire.context import PRODUCTION_HEADERS, SECURITY_HEADERS
from api.wire.counters import Counters
from api.wire.own_hosts import OwnHosts
from api.wire.serving import Route, Serving, is_exact, not_found, request_log_of, served
from policy.codes import CODES, Code
from policy.rules.bundle import Bundle
from runtime.bundle import installed_bundle
from runtime.environment import Mode
from runtime.settings import Settings
from runtime.telemetry.handles import Tracing
from runtime.telemetry.tracing import open_tracing


def create_app(settings: Settings) -> ASGIApp:
    """Return the ASGI application; it opens its connections when it starts."""
    bundle = installed_bundle(settings)
    authenticator = Authenticator(settings, bundle.role_aliases)
    tracing = open_tracing(settings, "dispatch-api")
    counters = Counters(settings.alert_window_minutes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(tracing.close)
            app.state.gateway = await opened(
                stack, settings, bundle, authenticator, tracing, counters
            )
            await stack.enter_async_context(door.open())
            yield

    app = FastAPI(
        title="Real Dispatch",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        exception_handlers={404: _unmatched, 405: _unmatched},
        telemetry=telemetry(tracing),
    )
    own = (*codec_routes(settings), *sms_routes(settings), metadata_route())
    for route in (*routes(bundle), *own):
        handler = served(route.path, route.handler)
        app.add_api_route(route.path, handler, methods=[route.method], response_class=Response)
    production = settings.mode is Mode.PRODUCTION
    guarded = OwnHosts(app, settings) if settings.dev_headers_enabled else app
    gateway = Serving(guarded, PRODUCTION_HEADERS if production else SECURITY_HEADERS, counters)
    door = AgentsDoor(gateway, bundle)
    app.router.routes.append(AsgiRoute(AGENTS_DOOR, door))
    return gateway


def routes(bundle: Bundle) -> Iterator[Route]:
    """Yield everything the gateway answers."""
    yield from tool_routes(bundle)
    yield Route("GET", "/commands/{command_id}", command_status)
    yield from evidence_routes()
    yield Route("GET", "/tickets/{ticketId}/escalations", escalations)
    yield from surface_routes()
    yield from health_routes()
    yield from ops_routes()
    yield from dossier_routes()
    yield from invoice_routes()
    yield from message_routes()
    yield from docs_routes(bundle)


def telemetry(tracing: Tracing) -> TelemetryConfig:
    """Return what FastAPI reports: one span a request, and only while tracing is on."""
    return {
        "tracing": tracing.provider is not None,
        "tracer_provider": tracing.provider,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }


async def _unmatched(request: Request, _: Exception) -> Response:
    """Answer 404 also for another method (contract 3.1), and name the one that is served.

    A browser at the root gets a page with the ways in.
    """
    if wants_page(request):
        return welcome_page(gateway_of(request).settings).response()
    message = CODES[Code.NOT_FOUND].message
    methods = sorted(
        method
        for route in request.app.router.routes
        if isinstance(route, APIRoute) and is_exact(request.scope, route.path_regex)
        for method in route.methods or ()
    )
    if methods:
        message = f"This path is served by {' and '.join(methods)} only."
    request_log = request_log_of(request)
    request_log.error_code, request_log.message = Code.NOT_FOUND, message
    return not_found(message).response()
