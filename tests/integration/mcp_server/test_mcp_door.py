"""Who and what the agents' door turns away, and what it says then."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.mcp_server.mcp_clients import agent, code_of, refused, text_of
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.in_process import serving

pytest_plugins = ["tests.integration.servers.stack_fixture"]


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("ticket_destroy", {}, "UNKNOWN_TOOL"),
        ("../tickets", {}, "UNKNOWN_TOOL"),
        ("", {}, "UNKNOWN_TOOL"),
        ("ticket_close", {"ticket_id": str(uuid4())}, "TOOL_ROLE_FORBIDDEN"),
        ("ticket_get", {"ticket_id": str(uuid4())}, "TICKET_NOT_FOUND"),
        ("ticket_get", {}, "INVALID_TICKET_ID"),
        ("ticket_get", {"ticket_id": "../../health"}, "INVALID_TICKET_ID"),
        ("ticket_timeline", {"ticket_id": str(uuid4()), "limit": 0}, "INVALID_QUERY"),
        ("ticket_create", {"summary": "nowhere"}, "INVALID_REQUEST"),
        ("ticket_create", {"summary": "x", "request_id": "mine"}, "INVALID_REQUEST"),
    ],
)
async def test_an_error_says_what_is_wrong_and_what_to_do(
    gateway: TestGateway, tool: str, arguments: dict[str, Any], code: str
) -> None:
    async with agent(gateway.url, gateway.bearer("agent")) as client:
        result = await refused(client, tool, **arguments)

    assert code_of(result) == code
    assert result.structured_content["advice"]
    assert f"What to do: {result.structured_content['advice']}" in text_of(result)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    ("summary", "statuses"),
    [
        ('"\\ud800"', {200, 400}),
        ("NaN", {200, 400}),
        ("1e999", {200, 400}),
        (f"{'[' * 200}{']' * 200}", {200, 400}),
        (f"{'[' * 100_000}{']' * 100_000}", {200, 400}),
        (f'"{"x" * 1_100_000}"', {413}),
    ],
    ids=["surrogate", "NaN", "infinity", "nested", "deeply nested", "large"],
)
def test_hostile_json_is_refused(
    gateway: TestGateway, summary: str, statuses: set[int], version: str
) -> None:
    meta = (
        '{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    body = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ticket_create",'
        f'"_meta":{meta},"arguments":{{"summary":{summary}}}}}}}'
    )
    headers = {
        **gateway.bearer("agent"),
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "ticket_create",
    }
    answer = gateway.http.post("/mcp", content=body, headers=headers)

    assert answer.status_code in statuses, answer.text
    if answer.status_code == 200:
        result = answer.json()["result"]
        assert result["isError"]
        assert result["structuredContent"]["error"]["code"] in {"INVALID_JSON", "INVALID_REQUEST"}


CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
NO_JSON, NO_REQUEST, NO_PARAMS = -32700, -32600, -32602


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28", None])
@pytest.mark.parametrize(
    ("body", "code", "about"),
    [
        (CALL.replace('"id":1', '"id":null'), NO_REQUEST, None),
        (CALL.replace('"id":1', '"id":1.5'), NO_REQUEST, None),
        (CALL.replace('"id":1', '"id":true'), NO_REQUEST, None),
        (CALL.replace('"id":1', '"id":{}'), NO_REQUEST, None),
        (CALL.replace('"id":1,', ""), NO_REQUEST, None),
        (CALL.replace("2.0", "1.0"), NO_REQUEST, 1),
        (CALL.replace('"jsonrpc":"2.0",', ""), NO_REQUEST, 1),
        (CALL.replace('"tools/list"', "7"), NO_REQUEST, 1),
        ('{"jsonrpc":"2.0","id":"a"}', NO_REQUEST, "a"),
        (CALL[:-1] + ',"params":[]}', NO_PARAMS, 1),
        (f"[{CALL},{CALL}]", NO_REQUEST, None),
        ("[]", NO_REQUEST, None),
        ("7", NO_REQUEST, None),
        ("null", NO_REQUEST, None),
        ("", NO_JSON, None),
        (" ", NO_JSON, None),
        ("{", NO_JSON, None),
        ('{"id":NaN}', NO_JSON, None),
    ],
)
def test_what_is_no_message_is_answered_by_a_json_rpc_error(
    gateway: TestGateway, body: str, code: int, about: str | int | None, version: str | None
) -> None:
    answer = sent(gateway, body, {"MCP-Protocol-Version": version} if version else {})

    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["id"]) == (code, about)


@pytest.mark.parametrize(
    "body",
    [
        CALL[:-1] + ',"id":2}',
        CALL[:-1] + ',"params":{"name":"a","name":"b"}}',
        CALL[:-1] + ',"params":{"arguments":{"x":[{"a":1,"a":1}]}}}',
    ],
)
def test_a_member_name_that_occurs_twice_is_refused_as_over_http(
    gateway: TestGateway, body: str
) -> None:
    answer = sent(gateway, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_JSON")
    assert "twice" in answer.json()["error"]["message"]


@pytest.mark.parametrize("accept", [None, "", "*/*", "application/*", "application/json"])
def test_who_does_not_say_what_is_accepted_is_served(
    gateway: TestGateway, accept: str | None
) -> None:
    answer = sent(gateway, CALL, accept=accept)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["tools"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "text/plain"}, 400), ({"Content-Type": ""}, 400)],
)
def test_another_type_of_content_is_refused(
    gateway: TestGateway, headers: dict[str, str], status: int
) -> None:
    assert sent(gateway, CALL, headers).status_code == status


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/unheard_of"])
def test_a_notification_is_taken_whatever_it_tells(gateway: TestGateway, method: str) -> None:
    answer = sent(gateway, f'{{"jsonrpc":"2.0","method":"{method}"}}')
    assert (answer.status_code, answer.content) == (202, b"")


def sent(
    gateway: TestGateway,
    body: str,
    headers: Mapping[str, str] | None = None,
    accept: str | None = "application/json, text/event-stream",
) -> httpx.Response:
    """Send a body to the agents' door; `accept` None: without that header."""
    said = {**gateway.bearer("agent"), "Content-Type": "application/json", **(headers or {})}
    if accept is not None:
        said["Accept"] = accept
    request = gateway.http.build_request("POST", "/mcp", content=body, headers=said)
    if accept is None:
        del request.headers["Accept"]
    return gateway.http.send(request)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "AUTH_REQUIRED"),
        ({"X-Actor-Id": "", "X-Actor-Role": ""}, 401, "AUTH_REQUIRED"),
        ({"X-Actor-Id": "a"}, 400, "MISSING_ACTOR_CONTEXT"),
        ({"Authorization": "Bearer not.a.token"}, 401, "INVALID_AUTH_TOKEN"),
        (
            {"X-Actor-Id": "a", "X-Actor-Role": "agent", "Origin": "http://evil.example"},
            401,
            "AUTH_REQUIRED",
        ),
    ],
    ids=["nobody", "blank", "half a name", "bad token", "a page in a browser"],
)
def test_who_cannot_be_identified_gets_nothing(
    gateway: TestGateway, headers: dict[str, str], status: int, code: str
) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    answer = gateway.http.post("/mcp", json=ping, headers={**accept, **headers})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert gateway.http.get("/mcp", headers=gateway.bearer("agent")).status_code == 405


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer not.a.token"}])
def test_who_is_turned_away_learns_where_a_token_is_to_be_had(
    gateway: TestGateway, headers: dict[str, str]
) -> None:
    answer = gateway.http.post("/mcp", json={}, headers=headers)

    assert answer.status_code == 401
    scheme, _, where = answer.headers["WWW-Authenticate"].partition(" resource_metadata=")
    assert scheme == "Bearer"
    assert where == f'"{gateway.url}/.well-known/oauth-protected-resource/mcp"'
    metadata = gateway.http.get(where.strip('"')).json()
    assert metadata["resource"] == f"{gateway.url}/mcp"
    assert metadata["bearer_methods_supported"] == ["header"]
    assert "authorization_servers" not in metadata  # no issuer is configured


async def test_the_metadata_names_the_configured_issuer(gateway: TestGateway) -> None:
    issuer = {"DISPATCH_AUTH_JWT_ISSUER": "https://login.example"}
    async with serving({**gateway.env, **issuer}) as client:
        answer = await client.get("/.well-known/oauth-protected-resource/mcp")
    assert answer.json()["authorization_servers"] == ["https://login.example"]
