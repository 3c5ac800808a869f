"""Which paths are a route's own (contract 3.1, step 1)."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from api.wire.answers import Answer, json_answer
from api.wire.counters import Counters
from api.wire.serving import Serving, served

ROUTES = ("/tickets/{ticketId}", "/tickets/{ticketId}/close", "/health", "/health/live")


async def answered(_: Request) -> Answer:
    return json_answer(200, {})


def gateway() -> Serving:
    app = FastAPI(redirect_slashes=False)
    for path in ROUTES:
        app.add_api_route(path, served(path, answered), response_class=Response)
    return Serving(app, {}, Counters(0))


async def get(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(gateway())
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/tickets/7", "/tickets/a%20b/close"])
async def test_the_paths_of_the_routes_are_served(path: str) -> None:
    assert (await get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/health%0A", "/health%2Flive", "/tickets%2f7", "/tickets/7/close%0A"]
)
async def test_a_path_that_only_decodes_to_that_of_a_route_is_no_route(path: str) -> None:
    answer = await get(path)
    assert answer.status_code == 404
    assert list(answer.json()["error"]) == ["code", "message", "request_id"]
