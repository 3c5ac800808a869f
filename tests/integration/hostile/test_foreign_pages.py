"""A page in a browser that leads its own name to loopback gets nothing from a gateway there."""

import re
from uuid import uuid4

import pytest

from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.in_process import bearer, serving

pytest_plugins = ["tests.integration.servers.stack_fixture"]

FOREIGN_HOSTS = (
    *("rebound.example", "rebound.example:8080", "localhost.rebound.example", "127.0.0.1.nip.io"),
    *("169.254.169.254", "10.0.0.1", "2130706433", "localhost@rebound.example", "[::"),
    *("", "localhost, rebound.example", "127.0.0.1:8080@rebound.example", "0.0.0.0"),  # noqa: S104
)
FOREIGN_ORIGINS = (
    *("http://rebound.example", "https://rebound.example", "null", "file://", "http://0.0.0.0"),
    *("http://127.0.0.1.nip.io", "http://localhost@rebound.example", "chrome-extension://abc"),
    *("http://localhost:1", "http://127.0.0.1:1"),
)
OPEN_PATHS = (
    *("/docs", "/openapi.json", "/docs/start.js", "/metrics", "/metrics/prometheus"),
    *("/ops/alerts", "/ops/runbooks/README.md", "/health", "/tools"),
)
PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def creation(gateway: TestGateway) -> dict[str, str]:
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    return {**place, "summary": f"From a page {uuid4()}"}


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_under_a_foreign_name_nobody_is_believed(gateway: TestGateway, host: str) -> None:
    body = creation(gateway)
    headers = {**gateway.as_role("dispatcher"), "Host": host, "Origin": f"http://{host}"}
    for named in (headers, {**headers, "Origin": gateway.url}):
        answer = gateway.post("/tickets", body, headers=named)
        assert answer.status_code in {400, 401}, answer.text
    assert gateway.http.post("/mcp", json=PING, headers=headers).status_code in {400, 401}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_from_elsewhere_is_not_believed(gateway: TestGateway, origin: str) -> None:
    headers = {**gateway.as_role("dispatcher"), "Origin": origin}
    answer = gateway.post("/tickets", creation(gateway), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_REQUIRED")
    read = gateway.http.get("/dispatcher/cockpit", headers=headers)
    assert read.status_code == 401
    assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_what_is_open_on_loopback_is_closed_to_a_foreign_page(
    gateway: TestGateway, path: str
) -> None:
    who = gateway.as_role("dispatcher")
    assert gateway.http.get(path, headers=who).status_code in {200, 404}
    for foreign in ({"Host": "rebound.example"}, {"Origin": "http://rebound.example"}):
        answer = gateway.http.get(path, headers={**who, **foreign})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_REQUIRED")


def test_the_root_shows_its_page_to_a_browser_at_home_and_json_to_everybody_else(
    gateway: TestGateway,
) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = gateway.http.get("/", headers=browser)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for link in re.findall(r'href="(/[^"]*)"', page.text):
        assert gateway.http.get(link).status_code == 200, link
    foreign = gateway.http.get("/", headers={**browser, "Host": "rebound.example"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (401, "AUTH_REQUIRED")
    for accept in ("*/*", "application/json"):
        other = gateway.http.get("/", headers={"Accept": accept})
        assert (other.status_code, other.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_on_loopback_its_own_pages_are_served(gateway: TestGateway, host: str) -> None:
    headers = {**gateway.as_role("dispatcher"), "Host": host, "Origin": f"http://{host}"}
    assert gateway.post("/tickets", creation(gateway), headers=headers).status_code == 201


async def test_configured_names_are_served_and_others_are_not(gateway: TestGateway) -> None:
    env = {**gateway.env, "DISPATCH_API_TRUSTED_HOSTS": "dev.example, dev2.example:8443"}
    async with serving(env) as client:
        for host, status in (
            ("dev.example", 200),
            ("DEV.example:9000", 200),
            ("dev2.example:8443", 200),
            ("dev2.example", 401),
            ("evil.example", 401),
        ):
            headers = {"Host": host, "Origin": f"https://{host}"}
            assert (await client.get("/docs", headers=headers)).status_code == status, host


async def test_where_tokens_alone_count_any_name_is_served(gateway: TestGateway) -> None:
    env = {**gateway.env, "DISPATCH_AUTH_ALLOW_DEV_HEADERS": "false"}
    foreign = {"Host": "dispatch.example", "Origin": "https://dispatch.example"}
    async with serving(env) as client:
        known = await client.get("/tools", headers={**bearer(env, "agent"), **foreign})
        unknown = await client.get("/tools", headers={**gateway.as_role("agent"), **foreign})
    assert (known.status_code, unknown.status_code) == (200, 401)
