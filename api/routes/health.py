"""The routes of health: never authenticated (contract 15.4)."""

from collections.abc import Iterator

from starlette.requests import Request

from api.gateway import gateway_of
from api.wire.answers import Answer, json_answer
from api.wire.errors import headers_of
from api.wire.serving import Route

OK, UNAVAILABLE = 200, 503
RETRY = headers_of(UNAVAILABLE)


def health_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", "/health", _health)
    yield Route("GET", "/health/live", _live)
    yield Route("GET", "/health/ready", _ready)


async def _health(request: Request) -> Answer:
    report = await gateway_of(request).ops.health.report()
    if report.status == "ok":
        return json_answer(OK, report.body())
    return json_answer(UNAVAILABLE, report.body(), RETRY)


async def _live(_: Request) -> Answer:
    return json_answer(OK, {"status": "ok"})


async def _ready(request: Request) -> Answer:
    ready, body = (await gateway_of(request).ops.health.report()).readiness()
    return json_answer(OK, body) if ready else json_answer(UNAVAILABLE, body, RETRY)
