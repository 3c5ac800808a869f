"""The technician's job packet: what is missing, why not yet, and for whom it is (10.3, 4.7)."""

from uuid import uuid4

import pytest

from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.integration.servers.stack_fixture"]

CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)
EVIDENCE = (
    "note_adjustments_and_test_cycles",
    "photo_after_latched_alignment",
    "photo_before_door_edge_and_strike",
)


@pytest.fixture(scope="module")
def ticket(gateway: TestGateway) -> str:
    """Bring a ticket into progress, with one of three required proofs."""
    ticket = gateway.ticket_in_progress()
    proof = {"kind": "PHOTO", "uri": "s3://b/1", "evidence_key": EVIDENCE[0]}
    gateway.done(f"/tickets/{ticket}/evidence", proof, "technician")
    return ticket


def test_the_packet_says_what_is_to_do_and_what_is_missing(
    gateway: TestGateway, ticket: str
) -> None:
    body = gateway.get(f"/ux/technician/job-packet/{ticket}", role="technician").json()
    packet = body["packet"]

    assert body["actor"]["tool_name"] == "tech.job_packet"
    assert packet["header"]["current_state"] == "IN_PROGRESS"
    assert packet["header"]["assigned_tech_id"] == gateway.tech_id
    place = packet["site_and_access"]
    assert (place["site_name"], place["address"]["postal_code"]) == ("Demo Site North", "94607")
    assert place["onsite_contact"] == {
        "name": "Demo Contact",
        "phone": "+1-555-0100",
        "role": "customer",
    }
    required = {
        row["key"]: row["present"] for row in packet["evidence_requirements"]["required_evidence"]
    }
    assert required == {
        EVIDENCE[0]: True,
        EVIDENCE[1]: False,
        EVIDENCE[2]: False,
        "signature_or_no_signature_reason": False,
    }
    assert packet["checklist"] == {
        "required_items": [{"key": key, "checked": False} for key in CHECKLIST],
        "source": "none_recorded",
    }
    gate = packet["closeout_gate"]
    assert (gate["ready"], gate["code"]) == (False, "MISSING_SIGNATURE_CONFIRMATION")
    assert (gate["signature_satisfied"], gate["template_version"]) == (False, None)
    assert packet["timeline"]["events"] == packet["timeline"]["latest_events"]


def test_the_actions_tell_why_the_work_cannot_be_completed_yet(
    gateway: TestGateway, ticket: str
) -> None:
    packet = gateway.get(f"/ux/technician/job-packet/{ticket}", role="technician").json()["packet"]
    actions = {action["action_id"]: action for action in packet["actions"] + packet["more_actions"]}

    assert list(actions) == [
        *("check_in", "add_evidence", "request_change", "candidate", "complete_work"),
        *("open_timeline", "open_evidence", "presign_evidence", "finalize_evidence"),
    ]
    assert actions["check_in"]["policy_error"]["code"] == "INVALID_STATE_TRANSITION"
    assert actions["request_change"]["enabled"] is True
    refused = actions["complete_work"]["policy_error"]
    answer = gateway.post(f"/tickets/{ticket}/tech/complete", {"checklist_status": {}}).json()
    said = answer["error"]
    for member in ("code", "requirement_code", "missing_evidence_keys", "template_version"):
        assert refused[member] == said[member]
    assert refused["dimension"] == said["policy_error"]["dimension"]


def test_the_packet_shows_what_came_back_until_the_work_is_completed_again(
    gateway: TestGateway,
) -> None:
    ticket = gateway.ticket_in_progress()
    path = f"/ux/technician/job-packet/{ticket}"
    findings = [{"key": EVIDENCE[1], "note": "The photo shows another door"}]
    bypass = {"bypass_rationale": "The tablet was lost"}

    gateway.done(f"/tickets/{ticket}/dispatch/manual-bypass", bypass, "dispatcher")
    never = gateway.get(path, role="technician").json()["packet"]["returned"]
    said = {"reason": "The latch does not close", "findings": findings}
    gateway.done(f"/tickets/{ticket}/qa/return", said, "qa")
    shown = gateway.get(path, role="technician").json()["packet"]["returned"]
    gateway.done(f"/tickets/{ticket}/dispatch/manual-bypass", bypass, "dispatcher")
    gone = gateway.get(path, role="technician").json()["packet"]["returned"]

    assert (never, gone) == (None, None)
    assert {name: shown[name] for name in said} == said
    assert set(shown) == {"reason", "findings", "returned_by", "returned_at"}


def test_paused_autonomy_stands_in_the_way_of_a_ready_ticket(gateway: TestGateway) -> None:
    ticket = gateway.ticket_in_progress()
    for key in (*EVIDENCE, "signature_or_no_signature_reason"):
        proof = {"kind": "PHOTO", "uri": f"s3://b/{key}", "evidence_key": key}
        gateway.done(f"/tickets/{ticket}/evidence", proof)
    checklist = dict.fromkeys(CHECKLIST, True)
    gateway.done(f"/tickets/{ticket}/tech/complete", {"checklist_status": checklist})
    gateway.done(
        f"/tickets/{ticket}/qa/verify", {"timestamp": gateway.window()["start"], "result": "PASS"}
    )
    gateway.done(f"/tickets/{ticket}/closeout/reopen-after-verification", {"reason": "door again"})
    gateway.done("/ops/autonomy/pause", {"scope_type": "TICKET", "ticket_id": ticket})
    packet = gateway.get(f"/ux/technician/job-packet/{ticket}").json()["packet"]
    actions = {action["action_id"]: action["policy_error"] for action in packet["actions"]}

    assert packet["closeout_gate"]["code"] == "READY"
    assert packet["checklist"]["source"] == "latest_completion_attempt"
    assert all(item["checked"] for item in packet["checklist"]["required_items"])
    assert actions["complete_work"]["code"] == "AUTONOMY_DISABLED"
    assert actions["complete_work"]["scope_id"] == ticket
    assert actions["complete_work"]["dimension"] == "policy"


def test_a_technician_sees_only_the_jobs_assigned_to_the_token(
    gateway: TestGateway, ticket: str
) -> None:
    path = f"/ux/technician/job-packet/{ticket}"
    own = gateway.bearer("technician", technician_id=gateway.tech_id)
    other = gateway.bearer("technician", technician_id=str(uuid4()))
    refused = gateway.http.get(path, headers=other).json()["error"]

    assert gateway.http.get(path, headers=own).status_code == 200
    assert (refused["code"], refused["scope_field"]) == ("FORBIDDEN_SCOPE", "technician_id")
    assert refused["target_id"] == gateway.tech_id


def test_a_ticket_without_an_incident_type_has_no_template(gateway: TestGateway) -> None:
    packet = gateway.get(f"/ux/technician/job-packet/{gateway.new_ticket()}").json()["packet"]
    assert packet["closeout_gate"]["code"] == "TEMPLATE_NOT_FOUND"
    assert packet["evidence_requirements"]["required_evidence"] == []


def test_an_unknown_ticket_and_no_ticket_at_all_are_not_found(gateway: TestGateway) -> None:
    unknown = gateway.get(f"/ux/technician/job-packet/{uuid4()}").json()["error"]
    none = gateway.http.get("/ux/technician/job-packet/5").json()["error"]
    assert unknown["code"] == "TICKET_NOT_FOUND"
    assert (none["code"], none["request_id"]) == ("NOT_FOUND", None)
