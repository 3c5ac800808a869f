"""The draft invoice: exact amounts, the customer's limit, and lines from the record."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy.billing.derived import OnSite, derived_bill, work_done
from policy.billing.invoice import (
    EXPORT_HEADS,
    Bill,
    Line,
    LineKind,
    export_rows,
    invoice_document,
)
from policy.billing.price_list import PriceList, PriceListError, load_price_list
from policy.canonical import sha256_hex
from policy.codes import Code
from policy.command.effects import Denial, Effects
from policy.json_levels import SAFE_INTEGER
from policy.model import Priority, State
from policy.ticket.effects import TicketEffects
from policy.ticket.writes import UpsertArtifact
from tests.unit.facts_builder import NOW, judge, ticket

TOOL = "billing.generate_invoice"
LINES = [
    {"kind": "CALL_OUT", "description": "Call-out", "amount_cents": 7500},
    {"kind": "LABOUR", "description": "Labour", "quantity": 1.25, "unit_price_cents": 11000},
    {"kind": "PARTS", "description": "Strike", "quantity": 2, "unit_price_cents": 1999},
    {"kind": "TAX", "description": "Tax 10 %", "amount_cents": 2525},
]
TOTAL = 7500 + 13750 + 3998 + 2525
PRICES = PriceList(
    version="test",
    labour_step_minutes=15,
    labour_cents_per_hour=dict.fromkeys(Priority, 10_000),
    call_out_cents=dict.fromkeys(Priority, 5_000),
    tax_basis_points={"US": 500, "US-CA": 875},
)


def billed(lines: object, nte_cents: int = 0, approved: int = 0) -> Effects | Denial:
    return judge(
        TOOL,
        payload={"lines": lines},
        ticket=ticket(state=State.VERIFIED, nte_cents=nte_cents),
        approved_increase_cents=approved,
    )


def stored(lines: object) -> dict[str, Any]:
    effects = billed(lines)
    assert isinstance(effects, Effects)
    (artifact,) = effects.writes
    assert isinstance(artifact, UpsertArtifact)
    assert artifact.artifact_hash == sha256_hex(dict(artifact.artifact_payload))
    return dict(artifact.artifact_payload)


@pytest.mark.parametrize(
    "payload", [{}, {"lines": None}, {"lines": []}, {"anything": [1, {"else": None}], "amount": -1}]
)
def test_without_lines_nothing_is_judged_and_nothing_stored(payload: dict[str, Any]) -> None:
    effects = judge(TOOL, payload=payload, ticket=ticket(state=State.VERIFIED, nte_cents=1))
    assert isinstance(effects, TicketEffects)
    assert (dict(effects.audit), effects.writes) == ({"invoice_generated": True}, ())
    assert effects.ticket is not None
    assert effects.ticket.state is State.INVOICED


def test_lines_become_a_stored_draft_with_exact_totals() -> None:
    invoice = stored(LINES)
    assert invoice["legal_monetary_total"] == {
        "line_extension_amount_cents": TOTAL - 2525,
        "tax_exclusive_amount_cents": TOTAL - 2525,
        "tax_inclusive_amount_cents": TOTAL,
        "payable_amount_cents": TOTAL,
    }
    labour = invoice["invoice_lines"][1]
    assert (labour["unit_code"], labour["invoiced_quantity"]) == ("HUR", "1.25")
    assert labour["line_extension_amount_cents"] == 13750


@pytest.mark.parametrize(
    ("nte", "approved", "allowed"),
    [
        (0, 0, True),
        (TOTAL, 0, True),
        (TOTAL - 1, 0, False),
        (TOTAL - 1, 1, True),
        (TOTAL - 500, 499, False),
        (0, 1, True),
    ],
)
def test_a_total_above_what_was_allowed_is_refused(nte: int, approved: int, allowed: bool) -> None:  # noqa: FBT001  a column of the table
    decision = billed(LINES, nte, approved)
    assert isinstance(decision, Effects) is allowed
    if isinstance(decision, Denial):
        assert (decision.code, decision.status, decision.dimension) == (
            Code.NTE_EXCEEDED,
            409,
            "policy",
        )
        assert decision.details == {
            "total_cents": TOTAL,
            "nte_cents": nte,
            "approved_increase_cents": approved,
            "limit_cents": nte + approved,
        }


@pytest.mark.parametrize(
    "line",
    [
        {"description": "No price"},
        {"description": " ", "amount_cents": 1},
        {"description": "x", "amount_cents": -1},
        {"description": "x", "amount_cents": 1.5},
        {"description": "x", "amount_cents": 3, "quantity": 2, "unit_price_cents": 1},
        {"description": "x", "quantity": 0, "unit_price_cents": 1},
        {"description": "x", "quantity": 0.0001, "unit_price_cents": 1},
        {"description": "x", "quantity": True, "unit_price_cents": 1},
        {"description": "x", "quantity": 2, "unit_price_cents": SAFE_INTEGER},
        {"description": "x", "amount_cents": 1, "kind": "GIFT"},
        "a line",
    ],
)
def test_a_line_that_says_nothing_clear_is_refused(line: object) -> None:
    decision = billed([line])
    assert isinstance(decision, Denial)
    assert decision.code is Code.INVALID_REQUEST


@given(st.decimals(min_value="0.001", max_value=1000, places=3), st.integers(0, 10_000_000))
def test_amounts_are_rounded_half_up_and_never_lose_more_than_half_a_cent(
    quantity: Decimal, price: int
) -> None:
    line = Line(description="x", quantity=quantity, unit_price_cents=price)
    assert Decimal("-0.5") < quantity * price - line.charged <= Decimal("0.5") or (
        quantity * price - line.charged == Decimal("-0.5")
    )


def event(at: str, tool: str, after: str | None, **request: object) -> dict[str, Any]:
    return {
        "created_at": f"2026-11-20T{at}:00.000Z",
        "tool_name": tool,
        "after_state": after,
        "payload": {"request": request},
    }


def test_only_time_in_progress_counts_and_parts_come_from_the_completion() -> None:
    parts = [{"description": "Strike", "quantity": 2, "unit_price_cents": 1999}]
    checklist = {"parts_used_or_needed": True}
    work = work_done(
        [
            event("09:00", "tech.check_in", "IN_PROGRESS"),
            event("09:10", "closeout.add_evidence", "IN_PROGRESS"),
            event("09:30", "tech.request_change", "APPROVAL_REQUIRED"),
            event("10:30", "approval.decide", "IN_PROGRESS"),
            event("10:35", "sms.inbound", None),
            event(
                "10:50",
                "tech.complete",
                "COMPLETED_PENDING_VERIFICATION",
                parts=parts,
                checklist_status=checklist,
            ),
        ]
    )
    assert work.minutes == 50
    assert [line.charged for line in work.parts] == [3998]
    assert not work.parts_unpriced


@pytest.mark.parametrize("parts", [None, "two strikes", [{"description": "x"}], [7]])
def test_parts_that_nobody_priced_are_listed_without_a_price(parts: object) -> None:
    done = event(
        "10:00",
        "tech.complete",
        "COMPLETED_PENDING_VERIFICATION",
        parts=parts,
        checklist_status={"parts_used_or_needed": True},
    )
    work = work_done([event("09:00", "tech.check_in", "IN_PROGRESS"), done])
    assert (work.minutes, work.parts, work.parts_unpriced) == (60, (), True)
    lines = derived_bill(PRICES, ticket(), work, "US", "CA").lines
    assert [(line.kind, line.charged) for line in lines] == [
        (LineKind.CALL_OUT, 5_000),
        (LineKind.LABOUR, 10_000),
        (LineKind.PARTS, 0),
        (LineKind.TAX, 1_313),
    ]


@pytest.mark.parametrize(
    ("country", "region", "tax"), [("us", "ca", 875), ("US", "TX", 500), ("DE", None, 0)]
)
def test_tax_is_that_of_the_site(country: str, region: str | None, tax: int) -> None:
    assert PRICES.tax_of(country, region) == tax


def test_started_steps_of_labour_are_charged_whole() -> None:
    work = OnSite(minutes=61, parts=(), parts_unpriced=False)
    lines = derived_bill(PRICES, ticket(), work, "DE", None).lines
    assert lines[1].charged == 12_500
    nothing = OnSite(minutes=0, parts=(), parts_unpriced=False)
    assert derived_bill(PRICES, ticket(), nothing, "US", "CA").total_cents == 0


def test_the_export_adds_up_and_holds_no_formulas() -> None:
    lines = [*LINES, {"description": "=HYPERLINK(1)", "amount_cents": 1}]
    rows = export_rows(stored(lines))
    assert all(len(row) == len(EXPORT_HEADS) for row in rows)
    assert sum(int(row[-1]) for row in rows) == TOTAL + 1
    assert "'=HYPERLINK(1)" in {row[EXPORT_HEADS.index("item")] for row in rows}


def test_a_draft_without_a_single_line_has_its_row_in_the_export() -> None:
    (row,) = export_rows(invoice_document(ticket(), Bill(lines=()), NOW, "record"))
    assert len(row) == len(EXPORT_HEADS)
    assert row[0] == str(ticket().id)
    assert not any(row[EXPORT_HEADS.index("line") :])


def test_a_bill_without_tax_has_no_subtotals() -> None:
    document = invoice_document(ticket(), Bill(lines=()), NOW, "record")
    assert document["tax_total"] == {"tax_amount_cents": 0, "tax_subtotals": []}
    assert document["invoice_type_code"] == "325"


def test_an_unreadable_price_list_stops_the_start(tmp_path: Any) -> None:  # noqa: ANN401
    assert load_price_list().version
    broken = tmp_path / "prices.toml"
    broken.write_text("version = 'x'\n")
    for path in (broken, tmp_path / "absent.toml"):
        with pytest.raises(PriceListError):
            load_price_list(path)
    with pytest.raises(ValidationError):
        PriceList.model_validate({})
