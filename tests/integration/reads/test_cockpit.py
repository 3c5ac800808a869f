"""The cockpit over HTTP: rows, actions, the selected ticket and what it refuses (10.2)."""

from uuid import uuid4

import httpx
import pytest

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

PATH = "/ux/dispatcher/cockpit"
ROW_KEYS = {
    *("ticket_id", "state", "phase", "priority", "incident_type", "scheduled_start"),
    *("escalation_level", "site_region", "site", "assigned_tech", "last_update_at"),
    *("last_transition_at", "region_weight", "sla_target_minutes", "sla_deadline_at"),
    *("sla_timer_remaining_minutes", "sla_status", "sla_timer_remaining"),
    *("sla_delay_attribution", "actions", "more_actions"),
}


def error_of(answer: httpx.Response) -> dict[str, object]:
    error: dict[str, object] = answer.json()["error"]
    return error


def test_a_row_tells_where_a_ticket_stands_and_what_may_be_done(gateway: TestGateway) -> None:
    ticket = gateway.scheduled_ticket()
    body = gateway.get(PATH, state="scheduled", limit=1000, ticket_id=ticket).json()
    row = next(row for row in body["queue"] if row["ticket_id"] == ticket)
    actions = {action["action_id"]: action for action in row["actions"] + row["more_actions"]}

    assert set(row) == ROW_KEYS | {"sla_promise"}  # its window begins in years
    assert (row["state"], row["phase"], row["sla_status"]) == ("SCHEDULED", "scheduled", "healthy")
    assert (row["site"]["region"], row["site_region"], row["region_weight"]) == ("CA", "CA", 190)
    assert (row["sla_target_minutes"], row["sla_delay_attribution"]) == (240, "provider")
    assert actions["dispatch_assignment"]["enabled"] is True
    assert actions["dispatch_assignment"]["endpoint"] == f"/tickets/{ticket}/assignment/dispatch"
    assert actions["ticket_close"]["policy_error"]["allowed_from_states"] == [
        "VERIFIED",
        "INVOICED",
    ]
    selected = body["selected_ticket"]
    assert selected["ticket"] == gateway.get(f"/tickets/{ticket}").json()
    assert len(selected["timeline"]["events"]) == 4
    assert selected["evidence_summary"] == {"total_items": 0}
    assert body["actor"] == {
        "actor_id": "dispatcher-1",
        "actor_role": "dispatcher",
        "actor_type": "HUMAN",
        "tool_name": "dispatcher.cockpit",
    }


def test_a_read_sees_the_command_answered_before_it(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    gateway.done(f"/tickets/{ticket}/cancel", {"reason": "test"})
    new, cancelled = (
        gateway.get(PATH, state=state, limit=1000).json()["queue"] for state in ("NEW", "CANCELLED")
    )
    assert ticket not in [row["ticket_id"] for row in new]
    assert ticket in [row["ticket_id"] for row in cancelled]


def test_what_was_updated_last_counts_from_the_newest_audit_row(gateway: TestGateway) -> None:
    ticket = gateway.ready_ticket()
    gateway.done(f"/tickets/{ticket}/evidence", {"kind": "PHOTO", "uri": "s3://b/k"})
    events = gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
    body = gateway.get(PATH, state="READY_TO_SCHEDULE", limit=1000).json()
    row = next(row for row in body["queue"] if row["ticket_id"] == ticket)
    assert row["last_update_at"] == events[-1]["created_at"]
    assert row["last_transition_at"] == events[-2]["created_at"]


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ({"state": "OPEN"}, "INVALID_QUERY", "state"),
        ({"priority": "LOW"}, "INVALID_QUERY", "priority"),
        ({"sla_status": "late"}, "INVALID_QUERY", "sla_status"),
        ({"account_id": "x"}, "INVALID_QUERY", "account_id"),
        ({"limit": "1001"}, "INVALID_QUERY", "limit"),
        ({"cursor": "e30"}, "INVALID_QUERY", "cursor"),
        ({"ticket_id": "x"}, "INVALID_TICKET_ID", None),
        ({"ticket_id": str(uuid4())}, "TICKET_NOT_FOUND", None),
    ],
)
def test_a_query_it_cannot_answer_is_refused(
    gateway: TestGateway, query: dict[str, str], code: str, parameter: str | None
) -> None:
    error = error_of(gateway.get(PATH, **query))
    assert (error["code"], error.get("parameter")) == (code, parameter)


def test_a_ticket_out_of_scope_cannot_be_selected(gateway: TestGateway) -> None:
    ticket = gateway.new_ticket()
    narrow = gateway.as_role("dispatcher", X_Site_Scope=str(uuid4()))
    answer = gateway.http.get(PATH, params={"ticket_id": ticket}, headers=narrow)
    assert answer.status_code == 403
    assert error_of(answer)["scope_field"] == "ticket_id"
    assert error_of(answer)["target_id"] == ticket


def test_an_empty_scope_list_is_refused_and_no_one_else_may_look(gateway: TestGateway) -> None:
    nobody = gateway.bearer("dispatcher", scope={"account_ids": "*", "site_ids": []})
    assert error_of(gateway.http.get(PATH, headers=nobody))["scope_field"] == "site_id"
    assert error_of(gateway.get(PATH, role="agent"))["code"] == "FORBIDDEN"
