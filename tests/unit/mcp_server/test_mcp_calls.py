"""From an MCP call to the gateway and back: the body, the derived key, the words of the answer."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from mcp import types

from mcp_server.calls import ToolCalls
from mcp_server.keys import WINDOWS, caller_of, derived_request_id, role_of
from mcp_server.tool_names import within
from policy.codes import CODES, Code
from policy.model import Role
from policy.reads.guide import Repeat, load_guide
from policy.rules.bundle import load_bundle

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
TICKET = "94C09184-0E2F-5232-9361-45479EC0E9E2"
KEY = "5f0c9a52-6d0c-4a3e-9a54-333333333333"
KNOWN = "DOOR_WONT_LATCH"
DEV = {"x-actor-id": "agent-1", "x-actor-role": "agent"}


class Gateway:
    """A gateway that notes what it is asked and gives one answer."""

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.answer = httpx.Response(status, json={"data": {"id": 1}}, headers=headers)
        self.requests: list[httpx.Request] = []

    def calls(self) -> ToolCalls:
        """Return MCP calls that end here."""

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self.answer

        transport = httpx.MockTransport(handle)
        client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        return ToolCalls(load_bundle(), client)

    @property
    def body(self) -> dict[str, Any]:
        """The body of the last request."""
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


def token(**claims: str) -> dict[str, str]:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"authorization": f"Bearer head.{payload}.signature"}


def key(
    caller: str = "a",
    tool: str = "ticket.create",
    repeat: Repeat = Repeat.ADDS,
    arguments: Any = None,  # noqa: ANN401  any JSON value
    now: datetime = MIDNIGHT,
) -> str:
    return str(derived_request_id(caller, tool, repeat, arguments or {"summary": "x"}, now))


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))


async def test_ticket_and_key_stand_beside_the_payload() -> None:
    gateway = Gateway()
    call = {"ticket_id": TICKET, "request_id": KEY, "priority": "URGENT", "incident_type": KNOWN}
    result = await gateway.calls().call("ticket_triage", call, DEV)

    assert gateway.requests[-1].url.path == "/tools/ticket_triage"
    assert gateway.requests[-1].headers["x-actor-role"] == "agent"
    assert gateway.body == {
        "ticket_id": TICKET,
        "request_id": KEY,
        "payload": {"priority": "URGENT", "incident_type": KNOWN},
    }
    assert result.structured_content["request_id"] == KEY


async def test_a_ticket_id_of_the_payload_stays_there() -> None:
    gateway = Gateway()
    scope = {"scope_type": "TICKET", "ticket_id": TICKET}
    await gateway.calls().call("ops.autonomy.pause", scope, DEV)
    assert gateway.body["payload"] == scope

    await gateway.calls().call("dispatcher_cockpit", {"ticket_id": TICKET, "limit": 5}, DEV)
    assert gateway.body == {"payload": {"ticket_id": TICKET, "limit": 5}}


async def test_equal_calls_get_one_key_whatever_the_spelling() -> None:
    gateway, keys = Gateway(), set()
    for name, ticket in (("ticket_cancel", TICKET), ("ticket.cancel", TICKET.lower())):
        arguments = {"reason": "x", "ticket_id": ticket, "request_id": None}
        await gateway.calls().call(name, arguments, DEV)
        keys.add(gateway.body["request_id"])
    assert len(keys) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"caller": "b"},
        {"tool": "ticket.blind_intake"},
        {"arguments": {"summary": "y"}},
        {"now": MIDNIGHT + timedelta(days=1)},
        {"repeat": Repeat.MOVES, "now": MIDNIGHT + timedelta(minutes=10)},
        {"repeat": Repeat.ASKS, "now": MIDNIGHT + timedelta(seconds=10)},
    ],
)
def test_a_call_that_differs_has_another_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


@pytest.mark.parametrize("repeat", list(Repeat))
def test_a_retry_within_the_window_has_the_same_key(repeat: Repeat) -> None:
    last = MIDNIGHT + WINDOWS[repeat].length - timedelta(microseconds=1)
    assert key(repeat=repeat, now=MIDNIGHT) == key(repeat=repeat, now=last)


def test_what_is_no_json_gets_a_key_of_its_own() -> None:
    assert key(arguments={"summary": "\ud800"}) != key(arguments={"summary": "\ud800"})
    assert key(arguments={"amount": float("nan")}) != key(arguments={"amount": float("nan")})


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        (DEV, "default\nagent-1"),
        (token(sub=" agent-1 "), "default\nagent-1"),
        (token(sub="agent-1", tenant_id="acme"), "acme\nagent-1"),
        ({"authorization": "Bearer nonsense"}, "default\n"),
        ({"authorization": "Bearer a.%%%.c", "x-actor-id": "x"}, "default\n"),
        ({}, "default\n"),
    ],
)
def test_the_caller_is_read_from_the_credentials(headers: dict[str, str], caller: str) -> None:
    assert caller_of(headers) == caller


@pytest.mark.parametrize("code", list(Code))
async def test_every_error_ends_with_what_to_do(code: Code) -> None:
    spec = CODES[code]
    gateway = Gateway()
    dimension = {"policy_error": {"dimension": spec.dimension}} if spec.dimension else {}
    error = {"code": code, "message": spec.message, "from_state": "NEW", **dimension}
    gateway.answer = httpx.Response(spec.status, json={"error": error})
    result = await gateway.calls().call("ticket_get", {}, DEV)

    assert result.is_error
    assert result.structured_content["error"]["code"] == code
    head, fact, advice = text_of(result).splitlines()
    assert head.startswith(f"{spec.status} {code}")
    assert fact == 'from_state: "NEW"'
    assert advice.removeprefix("What to do: ") == result.structured_content["advice"]
    assert load_guide().advice[code].split()[0] in advice


async def test_a_code_from_a_newer_gateway_is_still_an_error() -> None:
    gateway = Gateway()
    gateway.answer = httpx.Response(
        429, json={"error": {"code": "NEW"}}, headers={"retry-after": "3"}
    )
    result = await gateway.calls().call("ticket_cancel", {"request_id": KEY}, DEV)

    assert result.is_error
    assert f"Retry after 3 s with request_id {KEY}." in text_of(result)


async def test_only_a_replay_under_a_derived_key_is_announced() -> None:
    gateway = Gateway(headers={"idempotency-replayed": "true"})
    derived = await gateway.calls().call("ticket_cancel", {"reason": "x"}, DEV)
    chosen = await gateway.calls().call("ticket_cancel", {"request_id": KEY}, DEV)

    assert "NOTHING WAS DONE BY THIS CALL" in text_of(derived)
    assert len(chosen.content) == 1


async def test_accepted_is_no_error_and_says_how_to_get_the_outcome() -> None:
    gateway = Gateway(202)
    result = await gateway.calls().call("ticket_cancel", {"request_id": KEY}, DEV)

    assert not result.is_error
    assert "Repeat the call with this request_id" in result.structured_content["advice"]


async def test_no_answer_is_an_error_that_can_be_retried() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too late", request=request)

    transport = httpx.MockTransport(fail)
    client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
    result = await ToolCalls(load_bundle(), client).call("ticket_cancel", {}, DEV)

    assert result.is_error
    assert result.structured_content["request_id"] in text_of(result)
    assert "it takes effect once" in text_of(result)


@pytest.mark.parametrize("name", ["", "..", "../tickets", "tools/x", "ticket create", "x" * 200])
async def test_a_name_that_is_none_goes_nowhere(name: str) -> None:
    gateway = Gateway()
    result = await gateway.calls().call(name, {}, DEV)

    assert result.structured_content["error"]["code"] == "UNKNOWN_TOOL"
    assert gateway.requests == []


async def test_arguments_too_deep_to_write_down_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    gateway = Gateway()
    result = await gateway.calls().call("ticket_create", {"summary": deep}, DEV)

    assert result.structured_content["error"]["code"] == "INVALID_JSON"


@pytest.mark.parametrize(
    ("tool", "arguments", "path"),
    [
        ("ticket_create", {"summary": "x", "priority": "EMERGENCY"}, "/priority"),
        ("ticket_get", {"ticket_id": TICKET, "request_id": KEY}, "/request_id"),
        ("schedule_propose", {"options": [{"start": "a", "end": "b", "zone": "c"}]},
         "/options/0/zone"),
        ("ticket_triage", {"incident_type": "DOOR_WONT_LACH"}, "/incident_type"),
        ("ticket_blind_intake", {"incident_type": "nothing known"}, "/incident_type"),
    ],
)  # fmt: skip
async def test_what_a_schema_does_not_know_goes_nowhere(
    tool: str, arguments: dict[str, Any], path: str
) -> None:
    gateway = Gateway()
    result = await gateway.calls().call(tool, arguments, {**DEV, "x-actor-role": "dispatcher"}
                                        if tool == "schedule_propose" else DEV)  # fmt: skip

    assert gateway.requests == []
    error = result.structured_content["error"]
    assert error["code"] == "INVALID_REQUEST"
    assert path in [fault["path"] for fault in error["validation_errors"]]


async def test_a_type_without_template_is_refused_with_what_it_is_near_to() -> None:
    arguments = {"ticket_id": TICKET, "priority": "URGENT", "incident_type": "DOOR_WONT_LACH"}
    result = await Gateway().calls().call("ticket_triage", arguments, DEV)
    assert "DOOR_WONT_LATCH" in text_of(result)


@pytest.mark.parametrize("role", list(Role))
def test_advice_says_whose_a_tool_is_that_the_reader_may_not_call(role: Role) -> None:
    bundle = load_bundle()
    for advice in load_guide().advice.values():
        said = within(advice, role, bundle)
        for name, rule in bundle.tools.items():
            if "." in name and re.search(rf"\b{re.escape(name)}\b", advice):
                alone = re.search(rf"\b{name.replace('.', '_')}\b(?! \(for)", said)
                assert (alone is not None) is (role in rule.roles), (name, said)


@pytest.mark.parametrize("role", list(Role))
def test_the_role_is_read_from_token_and_header_alike(role: Role) -> None:
    aliases = load_bundle().role_aliases
    assert role_of(token(role=role.value), aliases) is role
    assert role_of({"x-actor-role": role.value.upper()}, aliases) is role
    assert role_of(token(role="king"), aliases) is None
    assert role_of({}, aliases) is None
