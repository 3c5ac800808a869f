"""The tool surface: any tool by its name, through the same pipeline as its route (contract 11)."""

from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

CLOSED_TOOLSET = 45


def call(
    gateway: TestGateway, name: str, body: object, role: str = "dispatcher", **headers: str
) -> httpx.Response:
    identity = {**gateway.as_role(role), **headers}
    return gateway.http.post(f"/tools/{name}", json=body, headers=identity)


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_the_list_holds_the_closed_toolset_with_schemas(gateway: TestGateway) -> None:
    answer = gateway.get("/tools", role="audit").json()

    assert len(answer["tools"]) == CLOSED_TOOLSET
    tools = {tool["name"]: tool for tool in answer["tools"]}
    assert list(tools["schedule.hold"]) == [
        *("name", "alias", "method", "route", "mutating", "requires_ticket_id", "roles"),
        *("from_states", "result_state", "success_status", "payload_schema"),
    ]
    assert tools["ticket.create"]["payload_schema"]["required"] == [
        "account_id",
        "site_id",
        "summary",
    ]
    assert "sla_status" in tools["dispatcher.cockpit"]["payload_schema"]["properties"]
    assert tools["reopen_after_verification"]["alias"] == "reopen_after_verification"


def test_no_system_role_may_list_the_tools(gateway: TestGateway) -> None:
    answer = gateway.get("/tools", role="system")
    assert (answer.status_code, code_of(answer)) == (403, "FORBIDDEN")
    assert "system" not in answer.json()["error"]["allowed_roles"]


def test_the_contract_status_tells_the_same_versions_and_the_health(gateway: TestGateway) -> None:
    status, tools = (
        gateway.get("/tools/dispatch_contract_status", role="ops"),
        gateway.get("/tools"),
    )
    body, listed = status.json(), tools.json()

    assert status.status_code == 200
    assert {name: body[name] for name in listed if name != "tools"} == {
        name: value for name, value in listed.items() if name != "tools"
    }
    assert (body["tool_count"], body["health"]["status"]) == (CLOSED_TOOLSET, "ok")


@pytest.mark.parametrize("name", ["ticket.triage", "ticket_triage"])
def test_a_tool_by_name_does_what_its_route_does(gateway: TestGateway, name: str) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    payload = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
    answer = call(
        gateway, name, {"ticket_id": ticket.upper(), "payload": payload, "request_id": key}
    )
    body = answer.json()

    assert answer.status_code == 200, body
    assert list(body) == [
        *("tool_name", "endpoint", "request_id", "correlation_id", "status", "data")
    ]
    assert body["tool_name"] == "ticket.triage"
    assert body["endpoint"] == "/tickets/{ticketId}/triage"
    assert (body["request_id"], answer.headers["X-Request-Id"]) == (key, key)
    assert (body["status"], body["data"]["state"]) == (200, "TRIAGED")

    again = gateway.post(f"/tickets/{ticket}/triage", payload, key=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == body["data"]


def test_a_replay_by_name_is_wrapped_as_well(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    body = {"ticket_id": ticket, "payload": {"questions": ["When?"]}, "request_id": str(uuid4())}
    first, second = (call(gateway, "ticket.request_info", body) for _ in range(2))
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.json()["data"] == first.json()["data"]


def test_a_command_without_any_key_gets_one_made_here(gateway: TestGateway) -> None:
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
    answer = call(gateway, "ticket.create", {"payload": place})
    key = answer.json()["request_id"]

    assert answer.status_code == 201
    assert answer.headers["X-Request-Id"] == key
    assert gateway.post("/tickets", place, key=key).headers["Idempotency-Replayed"] == "true"


def test_the_header_key_serves_and_must_not_contradict_the_body(gateway: TestGateway) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4())
    body = {"ticket_id": ticket, "payload": {"questions": ["When?"]}}
    other = call(
        gateway,
        "ticket.request_info",
        {**body, "request_id": str(uuid4())},
        **{"Idempotency-Key": key},
    )
    same = call(
        gateway,
        "ticket.request_info",
        {**body, "request_id": key.upper()},
        **{"Idempotency-Key": key},
    )

    assert code_of(other) == "INVALID_REQUEST"
    assert other.json()["error"]["request_id"] == key
    assert (same.status_code, same.json()["request_id"]) == (200, key.upper())


def test_a_read_tool_takes_its_payload_as_query(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    timeline = call(gateway, "ticket_timeline", {"ticket_id": ticket, "payload": {"limit": 1.0}})
    refused = call(gateway, "ticket.timeline", {"ticket_id": ticket, "payload": {"limit": 0}})
    cockpit = call(
        gateway, "dispatcher.cockpit", {"payload": {"state": ["NEW", "triaged"], "limit": 5}}
    )

    assert timeline.json()["data"] == gateway.get(f"/tickets/{ticket}/timeline", limit=1).json()
    assert timeline.json()["request_id"] is None
    assert refused.json()["error"]["parameter"] == "limit"
    assert cockpit.json()["data"]["filters_applied"]["state"] == ["NEW", "TRIAGED"]


def test_autonomy_is_read_for_the_ticket_of_the_call(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    answer = call(gateway, "ops.autonomy.state", {"ticket_id": ticket}).json()
    assert answer["data"]["query"]["ticket_id"] == ticket


@pytest.mark.parametrize(
    ("name", "role", "body", "code"),
    [
        ("ticket.explode", "technician", [], "UNKNOWN_TOOL"),
        ("ticket.Triage", "dispatcher", {}, "UNKNOWN_TOOL"),
        ("ticket.triage", "technician", [], "TOOL_ROLE_FORBIDDEN"),
        ("ticket.get", "ops", {}, "TOOL_ROLE_FORBIDDEN"),
        ("ticket.triage", "dispatcher", [], "INVALID_REQUEST"),
        ("ticket.triage", "dispatcher", {"payload": 1, "ticket_id": "x"}, "INVALID_REQUEST"),
        ("ticket.triage", "dispatcher", {"request_id": "x"}, "INVALID_REQUEST"),
        ("ticket.triage", "dispatcher", {}, "INVALID_TICKET_ID"),
        ("ticket.get", "dispatcher", {"ticket_id": 5}, "INVALID_TICKET_ID"),
        ("ticket.create", "dispatcher", {"ticket_id": "x"}, "INVALID_TICKET_ID"),
        ("ticket.triage", "dispatcher", {"ticket_id": str(uuid4())}, "INVALID_REQUEST"),
    ],
)
def test_the_errors_of_a_tool_call_come_in_order(
    gateway: TestGateway, name: str, role: str, body: object, code: str
) -> None:
    assert code_of(call(gateway, name, body, role)) == code


async def test_a_refused_command_is_logged_and_a_refused_read_is_not(gateway: TestGateway) -> None:
    correlation = f"surface-{uuid4()}"
    header = {"X-Correlation-Id": correlation}
    calls: list[tuple[str, object]] = [
        ("ticket.triage", {"payload": []}),
        ("billing.generate_invoice", {}),
        ("ticket.get", {}),
        ("ticket.explode", {}),
    ]
    for name, body in calls:
        call(gateway, name, body, **header)
    async with gateway.owner() as conn:
        rows = await conn.fetch(
            "SELECT tool_name, code FROM command_log WHERE correlation_id = $1 ORDER BY 1",
            correlation,
        )
    assert [tuple(row) for row in rows] == [
        ("billing.generate_invoice", "TOOL_ROLE_FORBIDDEN"),
        ("ticket.triage", "INVALID_REQUEST"),
    ]


@pytest.mark.parametrize("name", ["ops.autonomy.pause", "outbox.replay", "ticket.create"])
async def test_a_ticket_named_to_a_tool_without_ticket_is_left_alone(
    gateway: TestGateway, name: str
) -> None:
    ticket = gateway.new_ticket()
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
    payloads = {
        "ops.autonomy.pause": ({"scope_type": "INCIDENT", "incident_type": "LEFT_ALONE"}, 200),
        "outbox.replay": ({"outbox_id": str(uuid4())}, 404),
        "ticket.create": (place, 201),
    }
    payload, status = payloads[name]
    role = "finance" if name == "outbox.replay" else "dispatcher"
    answer = call(gateway, name, {"ticket_id": ticket, "payload": payload}, role)
    async with gateway.owner() as conn:
        logged = await conn.fetchval(
            "SELECT ticket_id::text FROM command_log WHERE command_id = $1",
            UUID(answer.headers["X-Command-Id"]),
        )

    assert answer.status_code == status, answer.text
    assert logged == (answer.json()["data"]["id"] if name == "ticket.create" else None)
    assert gateway.post(f"/tickets/{ticket}/cancel", {"reason": "Wrong"}).status_code == 200


async def test_a_refused_call_keeps_the_ticket_and_the_key_of_its_body(
    gateway: TestGateway,
) -> None:
    ticket, key = gateway.new_ticket(), str(uuid4()).upper()
    body = {"ticket_id": ticket, "request_id": key}
    for code, role, sent in (
        ("TOOL_ROLE_FORBIDDEN", "qa", body),
        ("INVALID_REQUEST", "dispatcher", {**body, "payload": []}),
        ("UNKNOWN_TOOL", "dispatcher", body),
    ):
        name = "ticket.explode" if code == "UNKNOWN_TOOL" else "ticket.triage"
        answer = call(gateway, name, sent, role)
        assert code_of(answer) == code
        assert (answer.json()["error"]["request_id"], answer.headers["X-Request-Id"]) == (key, key)
    async with gateway.owner() as conn:
        rows = await conn.fetch(
            "SELECT ticket_id::text, code FROM command_log WHERE request_id = $1", UUID(key)
        )
    assert {tuple(row) for row in rows} == {
        (ticket, "TOOL_ROLE_FORBIDDEN"),
        (ticket, "INVALID_REQUEST"),
    }


def test_the_tool_name_header_is_ignored_here(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    answer = call(gateway, "ticket.get", {"ticket_id": ticket}, **{"X-Tool-Name": "ticket.close"})
    assert answer.status_code == 200


def test_the_answer_names_the_keys_that_nobody_read(gateway: TestGateway) -> None:
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id, "summary": "Door"}
    body = {**place, "priority": "EMERGENCY"}
    by_route = gateway.post("/tickets", body)
    by_name = gateway.post("/tools/ticket.create", {"payload": body})
    assert [by_route.status_code, by_name.status_code] == [201, 201]
    assert by_route.headers["X-Ignored-Keys"] == by_name.headers["X-Ignored-Keys"] == "/priority"
    assert "X-Ignored-Keys" not in gateway.post("/tickets", place).headers
