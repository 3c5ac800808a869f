"""The reads of tickets and commands, and who may see them (contract 3.4, 10.1, 10.4)."""

from uuid import UUID, uuid4

import httpx
import pytest

from api.reads.query import encoded
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

COCKPIT = "/ux/dispatcher/cockpit"
NOBODY = str(UUID(int=0))


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_a_timeline_is_read_page_by_page(gateway: TestGateway) -> None:
    ticket = gateway.scheduled_ticket()
    whole = gateway.get(f"/tickets/{ticket}/timeline").json()
    pages, cursor = [], None
    while True:
        page = gateway.get(
            f"/tickets/{ticket}/timeline", limit=3, **({"cursor": cursor} if cursor else {})
        ).json()
        pages += page["events"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert pages == whole["events"]
    assert [event["seq"] for event in pages] == [1, 2, 3, 4]
    assert whole["next_cursor"] is None


def test_evidence_is_read_page_by_page(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    for number in range(3):
        item = {"kind": "PHOTO", "uri": f"s3://bucket/{ticket}/{number}"}
        gateway.done(f"/tickets/{ticket}/evidence", item)
    first = gateway.get(f"/tickets/{ticket}/evidence", limit=2).json()
    second = gateway.get(f"/tickets/{ticket}/evidence", limit=2, cursor=first["next_cursor"]).json()
    uris = [item["uri"] for item in first["evidence"] + second["evidence"]]

    assert uris == [f"s3://bucket/{ticket}/{number}" for number in range(3)]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "bm9uc2Vuc2U"}, "cursor"),
        ({"cursor": "e30"}, "cursor"),
        ({"x": "a\0b"}, "x"),
    ],
)
def test_a_query_that_makes_no_sense_is_named(
    gateway: TestGateway, query: dict[str, str | list[str]], parameter: str
) -> None:
    answer = gateway.http.get(
        f"/tickets/{uuid4()}/timeline", params=query, headers=gateway.as_role("dispatcher")
    )
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_QUERY")
    assert answer.json()["error"]["parameter"] == parameter


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("/tickets/{ticket}/timeline", {"seq": 2**63}),
        ("/tickets/{ticket}/evidence", {"at": "9999-12-31T23:59:59-23:00", "id": NOBODY}),
        ("/tickets/{ticket}/evidence", {"at": "0001-01-01T00:00:00+23:00", "id": NOBODY}),
        (COCKPIT, {"at": "9999-12-31T23:59:59-23:00", "after": [0, 0, 0, 0, NOBODY]}),
        (COCKPIT, {"at": "2026-01-01T00:00:00Z", "after": [2**63, 0, 0, 0, NOBODY]}),
        (COCKPIT, {"at": "2026-01-01T00:00:00Z", "after": [0, 0, 0, 2**63, NOBODY]}),
    ],
)
def test_a_forged_cursor_is_refused_like_an_unreadable_one(
    gateway: TestGateway, path: str, position: dict[str, object]
) -> None:
    answer = gateway.get(path.format(ticket=gateway.new_ticket()), cursor=encoded(position))
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_QUERY")
    assert answer.json()["error"]["parameter"] == "cursor"


def test_a_ticket_is_read_by_whoever_has_it_in_scope(gateway: TestGateway) -> None:
    path, other = f"/tickets/{gateway.new_ticket()}", str(uuid4())
    inside = gateway.http.get(
        path, headers=gateway.as_role("customer", X_Account_Scope=gateway.account_id)
    )
    outside = gateway.http.get(path, headers=gateway.as_role("customer", X_Site_Scope=other))

    assert inside.status_code == 200
    assert code_of(outside) == "FORBIDDEN_SCOPE"
    assert outside.json()["error"]["scope_field"] == "site_id"
    assert code_of(gateway.get("/tickets/5")) == "INVALID_TICKET_ID"
    assert code_of(gateway.get(f"/tickets/{other}")) == "TICKET_NOT_FOUND"
    assert code_of(
        gateway.http.get(path, headers=gateway.bearer("dispatcher", tenant_id="acme"))
    ) == ("TICKET_NOT_FOUND")


def test_a_command_can_be_looked_up_by_submitter_and_supervisors(gateway: TestGateway) -> None:
    answer = gateway.post(
        f"/tickets/{gateway.new_ticket()}/request-info", {"questions": ["When?"]}, "agent"
    )
    path = f"/commands/{answer.headers['X-Command-Id']}"
    status = gateway.get(path, role="agent").json()

    assert status["response_body"] == answer.json()
    assert (status["status"], status["response_code"]) == ("succeeded", 200)
    for role in ("dispatcher", "ops", "audit", "admin"):
        assert gateway.get(path, role=role).json() == status
    for role in ("technician", "finance", "customer"):
        assert code_of(gateway.get(path, role=role)) == "COMMAND_NOT_FOUND"
    narrow = gateway.as_role("ops", X_Account_Scope=str(uuid4()))
    assert code_of(gateway.http.get(path, headers=narrow)) == "COMMAND_NOT_FOUND"
    assert code_of(gateway.get("/commands/5")) == "COMMAND_NOT_FOUND"
    assert code_of(gateway.get(path, role="system")) == "FORBIDDEN"


def test_a_rejection_can_be_looked_up_too(gateway: TestGateway) -> None:
    refused = gateway.post(f"/tickets/{gateway.new_ticket()}/close", {})
    status = gateway.get(f"/commands/{refused.headers['X-Command-Id']}").json()
    assert (status["status"], status["response_code"]) == ("rejected", 409)
    assert status["response_body"] == refused.json()


def test_the_most_specific_control_decides(gateway: TestGateway) -> None:
    ticket = gateway.ready_ticket("REVOLVING_DOOR")
    incident = {"scope_type": "INCIDENT", "incident_type": "revolving_door"}
    own = {"scope_type": "TICKET", "ticket_id": ticket}
    undecided = gateway.get("/ops/autonomy/state", ticket_id=ticket).json()["decision"]
    gateway.done("/ops/autonomy/pause", {**incident, "reason": "wrong"})
    paused = gateway.get("/ops/autonomy/state", ticket_id=ticket).json()
    gateway.done("/ops/autonomy/rollback", own)
    freed = gateway.get(f"/ops/autonomy/replay/{ticket}").json()
    gateway.done("/ops/autonomy/rollback", incident)

    assert undecided["is_paused"] is False
    assert paused["decision"] == {
        "scope_type": "INCIDENT",
        "incident_type": "REVOLVING_DOOR",
        "ticket_id": None,
        "is_paused": True,
        "reason": "wrong",
    }
    assert [row["scope_type"] for row in freed["chain"]] == ["TICKET", "INCIDENT"]
    assert (freed["decision"]["scope_type"], freed["decision"]["is_paused"]) == ("TICKET", False)
    history = [row for row in freed["history"] if row["scope_type"] != "GLOBAL"]  # anybody's
    assert [row["action"] for row in history] == ["rollback", "pause"]
    assert list(history[0]) == [
        *("id", "scope_type", "incident_type", "ticket_id", "action", "previous_is_paused"),
        *("next_is_paused", "actor_type", "actor_id", "actor_role", "request_id"),
        *("correlation_id", "trace_id", "reason", "payload", "created_at"),
    ]


def test_without_a_ticket_there_is_no_decision(gateway: TestGateway) -> None:
    body = gateway.get("/ops/autonomy/state", incident_type="door").json()
    assert (body["decision"], body["chain"]) == (None, [])
    assert body["query"] == {"ticket_id": None, "incident_type": "DOOR"}
    assert code_of(gateway.get("/ops/autonomy/state", ticket_id="x")) == "INVALID_TICKET_ID"
    assert code_of(gateway.get("/ops/autonomy/state", ticket_id=str(uuid4()))) == "TICKET_NOT_FOUND"
    assert gateway.get("/ops/autonomy/replay/x").json() == {
        "error": {"code": "NOT_FOUND", "message": "There is no such route.", "request_id": None}
    }
