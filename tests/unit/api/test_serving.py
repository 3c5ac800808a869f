"""Which paths are a route's own (contract 3.1, step 1)."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.app import create_app
from api.wire.answers import Answer, json_answer
from api.wire.counters import Counters
from api.wire.serving import Serving, served
from policy.codes import CODES, Code
from runtime.settings import Settings

ROUTES = ("/tickets/{ticketId}", "/tickets/{ticketId}/close", "/health", "/health/live")


async def answered(_: Request) -> Answer:
    return json_answer(200, {})


def gateway() -> Serving:
    app = FastAPI(redirect_slashes=False)
    for path in ROUTES:
        app.add_api_route(path, served(path, answered), response_class=Response)
    return Serving(app, {}, Counters(0))


async def get(path: str) -> httpx.Response:
    return await asked(gateway(), "GET", path)


async def asked(app: ASGIApp, method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.request(method, path)


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


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/tickets", "This path is served by POST only."),
        ("DELETE", "/tickets/7", "This path is served by GET only."),
        ("PATCH", "/tools/ticket.get", "This path is served by POST only."),
        ("PUT", "/tickets/7/evidence", "This path is served by GET and POST only."),
        ("DELETE", "/tickets/7%2Fevidence", CODES[Code.NOT_FOUND].message),
        ("DELETE", "/tickets/7/evidence%0A", CODES[Code.NOT_FOUND].message),
        ("DELETE", "/nowhere", CODES[Code.NOT_FOUND].message),
    ],
)
async def test_another_method_is_no_route_and_the_message_names_the_one_that_is(
    method: str, path: str, message: str
) -> None:
    answer = await asked(create_app(Settings()), method, path)
    assert answer.status_code == 404
    error = {"code": "NOT_FOUND", "message": message, "request_id": None}
    assert answer.json() == {"error": error}
