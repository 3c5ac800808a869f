"""The routes of dossier and draft invoice: who may have them, and what they are."""

import csv
from io import StringIO
from uuid import uuid4

import pytest

from policy.dossier_verifier import read_keys, verify
from runtime.settings import load_settings
from runtime.signing_keys import signing_keys
from tests.integration.command_runner import CHECKLIST, EVIDENCE_KEYS
from tests.integration.gateway import TestGateway

pytest_plugins = ["tests.integration.stack_fixture"]

READERS = {"dispatcher", "agent", "technician", "qa", "approver", "finance", "audit"}
PAYERS = {"finance", "dispatcher", "approver", "admin", "audit"}
ROLES = READERS | {"customer", "admin", "ops"}
LINES = [
    {"kind": "LABOUR", "description": "Labour", "quantity": 2, "unit_price_cents": 11000},
    {"kind": "TAX", "description": "Tax", "amount_cents": 2000},
]
CHANGE = {"approval_type": "NTE_INCREASE", "reason": "Strike", "amount_delta_cents": 14000}
DONE = {"timestamp": "2026-11-20T12:00:00Z", "result": "PASS"}


@pytest.fixture(scope="module")
def verified(gateway: TestGateway) -> str:
    ticket = gateway.ready_ticket(nte_cents=20000)
    window = gateway.window()
    gateway.done(f"/tickets/{ticket}/schedule/propose", {"options": [window]})
    gateway.done(f"/tickets/{ticket}/schedule/confirm", window)
    gateway.done(f"/tickets/{ticket}/assignment/dispatch", {"tech_id": gateway.tech_id})
    arrival = {"timestamp": "2026-11-20T11:00:00Z"}
    gateway.done(f"/tickets/{ticket}/tech/check-in", arrival, "technician")
    gateway.done(f"/tickets/{ticket}/tech/request-change", CHANGE, "technician")
    events = gateway.get(f"/tickets/{ticket}/timeline").json()["events"]
    approval = events[-1]["payload"]["approval_id"]
    decision = {"approval_id": approval, "decision": "APPROVED"}
    gateway.done(f"/tickets/{ticket}/approval/decide", decision, "approver")
    for key in EVIDENCE_KEYS:
        item = {"kind": "PHOTO", "uri": f"s3://elsewhere/{key}", "evidence_key": key}
        gateway.done(f"/tickets/{ticket}/evidence", item, "technician")
    complete = {"checklist_status": CHECKLIST}
    gateway.done(f"/tickets/{ticket}/tech/complete", complete, "technician")
    gateway.done(f"/tickets/{ticket}/qa/verify", DONE, "qa")
    return ticket


def public_keys(gateway: TestGateway) -> dict[str, bytes]:
    ring = signing_keys(load_settings(gateway.env)[0])
    assert ring is not None
    return read_keys(ring.public_entries())


def test_the_dossier_of_a_ticket_is_whole_whoever_may_read_it(
    gateway: TestGateway, verified: str
) -> None:
    answer = gateway.get(f"/tickets/{verified}/dossier")
    assert answer.headers["content-type"] == "application/zip"
    assert f"dossier-{verified}.zip" in answer.headers["content-disposition"]
    found = verify(answer.content, public_keys(gateway))
    assert (found["ticket_id"], found["state"]) == (verified, "VERIFIED")
    assert found["evidence_files"] == 0
    for role in sorted(ROLES):
        status = gateway.get(f"/tickets/{verified}/dossier", role=role).status_code
        assert status == (200 if role in READERS else 403), role


@pytest.mark.parametrize("path", ["/tickets/{}/dossier", "/tickets/{}/invoice"])
def test_ids_and_scopes_are_checked(gateway: TestGateway, verified: str, path: str) -> None:
    def code(ticket: str, **headers: str) -> tuple[int, str]:
        identity = gateway.as_role("finance", **headers)
        answer = gateway.http.get(path.format(ticket), headers=identity)
        return answer.status_code, answer.json()["error"]["code"]

    assert code("no-id") == (400, "INVALID_TICKET_ID")
    assert code(str(uuid4())) == (404, "TICKET_NOT_FOUND")
    assert code(verified, X_Account_Scope=str(uuid4())) == (403, "FORBIDDEN_SCOPE")
    assert code(verified, X_Site_Scope=str(uuid4())) == (403, "FORBIDDEN_SCOPE")


async def test_without_a_key_there_are_no_dossiers(gateway: TestGateway, verified: str) -> None:
    async with gateway.sibling(DISPATCH_SIGNING_KEYS=" ") as other:
        headers = gateway.as_role("dispatcher")
        answer = await other.get(f"/tickets/{verified}/dossier", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_an_invoice_is_drafted_from_the_record_and_then_from_lines(
    gateway: TestGateway, verified: str
) -> None:
    path = f"/tickets/{verified}/invoice"
    draft = gateway.get(path, role="finance").json()
    assert draft["lines_from"].startswith("record")
    assert [line["kind"] for line in draft["invoice_lines"]] == ["CALL_OUT", "LABOUR", "PARTS"]
    for role in sorted(ROLES):
        assert gateway.get(path, role=role).status_code == (200 if role in PAYERS else 403), role

    priced = f"/tickets/{verified}/billing/generate-invoice"
    too_much = [{"description": "Labour", "amount_cents": 34001}]
    refused = gateway.post(priced, {"lines": too_much}, "finance")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "NTE_EXCEEDED")
    assert error["policy_error"] == {"dimension": "policy"}
    assert (error["limit_cents"], error["approved_increase_cents"]) == (34000, 14000)
    answer = gateway.done(priced, {"lines": LINES}, "finance")
    assert answer["state"] == "INVOICED"
    invoice = gateway.get(path, role="finance").json()
    assert invoice["lines_from"] == "caller"
    assert invoice["legal_monetary_total"]["payable_amount_cents"] == 24000

    page = gateway.get(path, role="finance", format="pdf")
    assert (page.headers["content-type"], page.content[:5]) == ("application/pdf", b"%PDF-")
    rows = list(csv.DictReader(StringIO(gateway.get(path, role="finance", format="csv").text)))
    assert [row["amount_cents"] for row in rows] == ["22000", "2000"]
    assert gateway.get(path, role="finance", format="xml").status_code == 400


def test_accounting_gets_the_drafts_of_a_time_within_its_scope(
    gateway: TestGateway, verified: str
) -> None:
    def exported(role: str = "finance", **params: str) -> list[str]:
        answer = gateway.get("/exports/invoices", role=role, **params)
        assert answer.is_success, answer.text
        return [row["ticket_id"] for row in csv.DictReader(StringIO(answer.text))]

    assert exported() == [verified, verified]
    assert exported("audit", **{"from": "2020-01-01", "to": "2099-01-01"}) == [verified] * 2
    assert exported(**{"from": "2099-01-01"}) == []
    assert gateway.get("/exports/invoices", role="finance", to="soon").status_code == 400
    assert gateway.get("/exports/invoices", role="dispatcher").status_code == 403
    elsewhere = gateway.as_role("finance", X_Account_Scope=str(uuid4()))
    assert len(gateway.http.get("/exports/invoices", headers=elsewhere).text.splitlines()) == 1
