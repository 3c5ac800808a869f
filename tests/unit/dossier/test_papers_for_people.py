"""The dossier and the invoice as a customer reads them, with long things beside each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy.billing.derived import CheckIn
from policy.dossier.verifier import in_words
from records.dossier.builder import ELSEWHERE, GONE
from tests.unit.dossier.pages import (
    APPROVAL,
    approval,
    bright,
    dossier,
    event,
    evidence,
    ink,
    invoice,
    page,
    pdf,
    read,
    record,
    seen,
    site,
)

LONG = "Strike plate bent, door drags. " * 322
LONGEST = f"{LONG[:9_990]} last word"[:10_000]
WIDE = "W" * 200
BADGE = "Completed pending verification"


def flat(sheets: list[str]) -> str:
    """Return the text of all sheets on one line, without what only allows a break."""
    return " ".join("".join(sheets).replace("\u200b", "").split())


FIELDS: dict[str, dict[str, Any]] = {
    "summary": {"ticket_summary": LONGEST},
    "description": {"ticket_description": LONGEST},
    "customer name": {"ticket_customer_name": LONGEST},
    "incident type": {"ticket_incident_type": LONGEST},
    "technician": {"technician": LONGEST},
    "account": {"account": {"name": LONGEST}},
    "site": {"site": site(LONGEST)},
    "reason for no signature": {"completion": {"no_signature_reason": LONGEST}},
    "approval": {"approvals": [approval(id="another", reason=LONGEST)]},
    "notes on an approval": {
        "events": [event(1, "approval.decide", None, approval_id=APPROVAL, notes=LONGEST)]
    },
    "actor": {"approvals": [approval(requested_by=LONGEST, decided_by=LONGEST)]},
    "checklist": {
        "requirements": {
            "required_checklist": [{"key": LONGEST, "present": True}],
            "required_evidence": [{"key": LONGEST, "present": False}],
        }
    },
    "escalation": {"escalations": [{"kind": LONGEST, "level": 1, "raised_at": None}]},
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_longest_value_of_a_field_is_in_the_dossier_to_its_last_word(name: str) -> None:
    sheets = read(pdf(dossier(**FIELDS[name])))
    assert "last word" in flat(sheets).lower()
    assert all(len(sheet.split()) > 20 for sheet in sheets)


def test_the_longest_note_of_an_invoice_is_in_it_to_its_last_word() -> None:
    sheets = read(pdf(invoice(LONGEST, lines=2)))
    assert "last word" in flat(sheets)
    assert "$2.00" in flat(sheets)


@pytest.mark.parametrize("title", ["Account of twenty-seven lett", WIDE, "門" * 200, "گ" * 200])
def test_a_long_name_stands_beside_a_long_state_and_not_under_it(title: str) -> None:
    """Some gap of 5 mm between them is as dark as the band, from the name's top to its end."""
    sheet = seen(page(title=title, badge=BADGE))[0]
    band = next(mm for mm in range(20, 297) if not ink(sheet, (2, mm, 4, mm + 1)))
    gaps = [
        left
        for left in range(60, 180)
        if bright(sheet, (left, 17, left + 5, band - 13)) == 0
        and bright(sheet, (left + 5, 17, 195, band - 13)) > 0
    ]
    assert gaps
    assert bright(sheet, (16, 17, gaps[0], band - 13)) > 0


def test_an_invoice_shows_each_arrival_as_it_was_claimed_beside_as_it_was_recorded() -> None:
    nine = datetime(2030, 1, 7, 17, tzinfo=UTC)
    five, next_day = nine + timedelta(hours=8), nine + timedelta(days=1)
    late = CheckIn(claimed_at=nine, recorded_at=five, doubt=None)
    doubted = CheckIn(claimed_at=next_day, recorded_at=five, doubt="claims an arrival ahead")
    shown = flat(read(pdf(invoice("Work", check_ins=[late, doubted]))))
    assert "Jan 7, 2030 09:00 PST Jan 7, 2030 17:00 PST Jan 7, 2030 09:00 PST" in shown
    assert "Jan 8, 2030 09:00 PST Jan 7, 2030 17:00 PST Jan 7, 2030 17:00 PST" in shown
    assert "recorded late" in shown
    assert "claims an arrival ahead" in shown


def test_a_text_file_of_two_hundred_lines_stays_in_its_tile() -> None:
    text = "\n".join(f"event {number}" for number in range(200)).encode()
    sheets = read(pdf(dossier(evidence(text))))
    assert "event 1" in flat(sheets)
    assert "event 9" not in flat(sheets)
    assert len(sheets) == len(read(pdf(dossier(evidence(b"event 1")))))


@pytest.mark.parametrize("missing", [ELSEWHERE, GONE])
def test_evidence_whose_bytes_are_not_there_says_so_and_shows_its_reference(missing: str) -> None:
    uri = "s3://somewhere/else/" + "k" * 5_000
    shown = flat(read(pdf(dossier(evidence(missing=missing, uri=uri)))))
    assert "Its bytes are not here" in shown
    assert "Reference: s3://somewhere/else/kkk" in shown


def test_names_of_evidence_are_cut_where_they_are_longer_than_a_tile() -> None:
    metadata = {"evidence_key": "key " * 100_000}
    assert len(read(pdf(dossier(evidence(b"text", kind=WIDE, metadata=metadata))))) <= 2


def test_the_limit_is_told_as_it_was_approved_and_as_it_was_at_first() -> None:
    shown = flat(read(pdf(dossier())))
    assert "$545.00" in shown
    assert "$500.00 at first, $45.00 approved on the way" in shown
    denied = flat(read(pdf(dossier(approvals=[approval(status="DENIED")]))))
    assert "$500.00" in denied
    assert "$545.00" not in denied


def test_an_approval_is_told_with_who_decided_what_about_how_much_and_when() -> None:
    shown = flat(read(pdf(dossier())))
    assert "Request decided" not in shown
    assert "Approved by jane: increase of the limit by $45.00" in shown
    assert "Approved by jane, Nov 20, 2026 04:00 PST" in shown
    assert "by tess" in shown
    assert "New strike" in shown
    assert "Go ahead" in shown


def test_no_sheet_of_a_dossier_is_empty() -> None:
    many = [event(seq, "dispatch.resume", "IN_PROGRESS") for seq in range(1, 120)]
    shown = [evidence(b"text", id=str(number)) for number in range(31)]
    sheets = read(pdf(dossier(*shown, events=many, completion={"no_signature_reason": "Away"})))
    assert all(len(sheet.split()) > 20 for sheet in sheets)


def test_many_long_reasons_together_are_cut_and_say_so() -> None:
    many = [approval(id=str(number), reason=LONGEST) for number in range(200)]
    assert "\u2026" in flat(read(pdf(dossier(approvals=many))))
    assert record(approvals=many).approvals[0]["reason"] == LONGEST


def test_the_verifier_tells_what_it_found_in_words() -> None:
    found = {
        "ticket_id": "t",
        "as_of": "2026",
        "state": "PENDING_CUSTOMER",
        "key_id": "k",
        "audit_rows": 3,
        "anchored_rows": 3,
        "members": 9,
        "checkpoint": {"number": 4, "sha256": "ab"},
        "evidence_items": 2,
        "evidence_files": 1,
    }
    told = in_words(found)
    assert told["checkpoint of the log"] == "number 4, SHA-256 ab"
    assert "none" in in_words(found | {"checkpoint": None})["checkpoint of the log"]
    assert not any(mark in text for text in told.values() for mark in "{}'_")
