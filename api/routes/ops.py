"""The routes for operators: metrics, alerts and runbooks (contract 15.2, 15.3)."""

import asyncio
from collections.abc import Iterator

from starlette.requests import Request

from api.gateway import admitted, gateway_of
from api.ops.metrics import JSON, TEXT, exposition, json_metrics, preferred
from api.ops.runbooks import URL_PREFIX, runbook_text
from api.ops.undecided import Undecided, undecided
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError
from api.wire.serving import Route, request_log_of
from policy.codes import Code
from policy.model import Role
from runtime.environment import Mode
from runtime.postgres.pool import DATABASE_FAULTS

OK = 200
UNDECIDED_SECONDS = 1
OPERATORS = (Role.OPS, Role.DISPATCHER, Role.ADMIN)


def ops_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", "/metrics", _metrics)
    yield Route("GET", "/metrics/prometheus", _prometheus)
    yield Route("GET", "/ops/alerts", _alerts)
    yield Route("GET", URL_PREFIX + "{file}", _runbook)


async def _metrics(request: Request) -> Answer:
    tenant_id = await _admit(request)
    return await _rendered(request, tenant_id, preferred(request.headers.get("accept", "")))


async def _prometheus(request: Request) -> Answer:
    return await _rendered(request, await _admit(request), TEXT)


async def _rendered(request: Request, tenant_id: str | None, media_type: str) -> Answer:
    """Return the metrics that a tenant may see, this request among them."""
    whole, request_log = gateway_of(request).ops.counters, request_log_of(request)
    for each in whole.counting(request_log.tenant_id):
        each.request(request.method, request_log.endpoint, OK)
    request_log.counted = True
    counters = whole.seen_by(tenant_id)
    found = await _undecided(request, tenant_id)
    if media_type == JSON:
        gauges = {} if found is None else {"gauges": found.gauges}
        return json_answer(OK, json_metrics(counters) | gauges)
    content, content_type = exposition(counters, media_type, found)
    return Answer(OK, content, {"Content-Type": content_type})


async def _undecided(request: Request, tenant_id: str | None) -> Undecided | None:
    """Return what is undecided; what this process counted is shown in an outage, too."""
    try:
        async with asyncio.timeout(UNDECIDED_SECONDS):
            return await undecided(gateway_of(request).pool, tenant_id)
    except DATABASE_FAULTS:
        return None


async def _alerts(request: Request) -> Answer:
    tenant_id = await _admit(request)
    try:
        return json_answer(OK, await gateway_of(request).ops.alerts.report(tenant_id))
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error


async def _runbook(request: Request) -> Answer:
    text = runbook_text(request.path_params["file"])
    if text is None:
        raise ApiError(Code.NOT_FOUND)
    return Answer(OK, text, {"Content-Type": "text/markdown; charset=utf-8"})


async def _admit(request: Request) -> str | None:
    """Return the tenant whose facts the caller may see, None for those of the installation.

    Everybody is let in, but in production operators only, unless the settings open it.
    """
    settings = gateway_of(request).settings
    if settings.mode is not Mode.PRODUCTION or settings.ops_public:
        return None
    actor = await admitted(request, OPERATORS)
    return None if actor.tenant_id == settings.ops_tenant else actor.tenant_id
