"""Labour is presence: from a check-in, as it claims if that is plausible, to the completion."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from policy.billing.derived import OnSite, derived_bill, work_done
from policy.billing.invoice import LineKind, invoice_document
from policy.billing.price_list import PriceList
from policy.json_levels import SAFE_INTEGER
from policy.model import Priority
from tests.unit.facts_builder import NOW, ticket

OAKLAND = ZoneInfo("America/Los_Angeles")
DAY = "2026-11-20"
COMPLETED, RUNNING = "COMPLETED_PENDING_VERIFICATION", "IN_PROGRESS"


def prices(step: int = 1, rate: int = 11_000, tax: int = 0) -> PriceList:
    return PriceList(
        version="test",
        labour_step_minutes=step,
        labour_cents_per_hour=dict.fromkeys(Priority, rate),
        call_out_cents=dict.fromkeys(Priority, 0),
        tax_basis_points={"US": tax},
    )


def event(at: str, tool: str, after: str | None, **payload: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "created_at": f"{DAY}T{at}:00.000Z",
        "tool_name": tool,
        "after_state": after,
        "payload": payload,
    }


def visit(*rest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a visit that is confirmed for 10 to 12 in the morning in Oakland."""
    window = {"start": f"{DAY}T18:00:00.000Z", "end": f"{DAY}T20:00:00.000Z"}
    return [
        event("08:00", "schedule.confirm", "SCHEDULED", confirmation_window=window),
        event("16:00", "assignment.dispatch", "DISPATCHED"),
        *rest,
    ]


def check_in(at: str, claimed: str) -> dict[str, Any]:
    return event(at, "tech.check_in", RUNNING, check_in_timestamp=f"{claimed}:00.000Z")


def complete(at: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401
    return event(at, "tech.complete", COMPLETED, request=request)


def test_a_reopened_ticket_is_not_charged_for_the_minutes_until_it_is_completed_again() -> None:
    once = visit(check_in("18:00", f"{DAY}T18:00"), complete("18:15"))
    again = [
        event("18:20", "qa.verify", "VERIFIED"),
        event("18:30", "reopen_after_verification", RUNNING),
        event("18:35", "closeout.add_evidence", RUNNING),
        complete("18:45"),
    ]
    assert work_done([*once, *again], OAKLAND).minutes == work_done(once, OAKLAND).minutes == 15


def test_a_second_visit_counts_from_its_own_check_in() -> None:
    events = visit(
        check_in("18:00", f"{DAY}T18:00"),
        complete("18:15"),
        event("18:20", "qa.return", RUNNING),
        event("18:30", "dispatch.force_unassign", "SCHEDULED"),
        event("18:40", "assignment.dispatch", "DISPATCHED"),
        check_in("19:00", f"{DAY}T18:50"),
        complete("19:20"),
    )
    assert work_done(events, OAKLAND).minutes == 15 + 30


def pauses() -> Iterator[tuple[str, str, str]]:
    yield "dispatch.force_hold", "ON_HOLD", "dispatch.resume"
    yield "tech.request_change", "APPROVAL_REQUIRED", "approval.decide"


@pytest.mark.parametrize(("pause", "state", "resume"), list(pauses()))
def test_a_pause_does_not_count_and_the_visit_goes_on_after_it(
    pause: str, state: str, resume: str
) -> None:
    events = visit(
        check_in("18:00", f"{DAY}T18:00"),
        event("18:10", pause, state),
        event("19:10", resume, RUNNING),
        complete("19:15"),
    )
    assert work_done(events, OAKLAND).minutes == 15


def test_work_without_a_check_in_is_no_presence() -> None:
    events = visit(
        event("17:00", "dispatch.force_hold", "ON_HOLD"),
        event("18:00", "dispatch.resume", RUNNING),
        complete("19:00"),
    )
    assert work_done(events, OAKLAND) == OnSite(minutes=0, parts=(), parts_unpriced=False)


def test_a_check_in_that_was_sent_late_counts_from_its_claim_and_is_shown_as_late() -> None:
    work = work_done(visit(check_in("23:25", f"{DAY}T17:00"), complete("23:40")), OAKLAND)
    assert work.minutes == 6 * 60 + 40
    (arrival,) = work.check_ins
    assert arrival.shape() == {
        "claimed_at": f"{DAY}T17:00:00.000Z",
        "recorded_at": f"{DAY}T23:25:00.000Z",
        "counted_from": f"{DAY}T17:00:00.000Z",
        "late": True,
        "doubt": None,
    }
    lines = derived_bill(prices(), ticket(), work, "US", "CA").lines
    assert lines[1].description == "Labour on site, 400 minutes (checked in late)"


@pytest.mark.parametrize(
    ("claimed", "doubt"),
    [
        (f"{DAY}T18:36", "in the future"),
        (f"{DAY}T15:59", "before the dispatch"),
        ("1970-01-01T00:00", "before the dispatch"),
    ],
)
def test_an_implausible_claim_counts_from_when_it_was_recorded(claimed: str, doubt: str) -> None:
    work = work_done(visit(check_in("18:30", claimed), complete("18:45")), OAKLAND)
    assert (work.minutes, work.check_ins[0].late) == (15, False)
    assert doubt in (work.check_ins[0].doubt or "")


def test_a_telephone_that_is_a_little_fast_is_believed_and_gains_nothing() -> None:
    work = work_done(visit(check_in("18:30", f"{DAY}T18:33"), complete("18:45")), OAKLAND)
    assert (work.minutes, work.check_ins[0].doubt) == (15, None)


def test_a_claim_of_another_local_day_than_the_window_is_not_followed() -> None:
    evening = visit(check_in("23:55", f"{DAY}T23:50"), complete("23:59"))
    assert work_done(evening, OAKLAND).check_ins[0].doubt is None
    before = [*evening[:1], event("06:00", "assignment.dispatch", "DISPATCHED")]
    night = [*before, check_in("18:00", f"{DAY}T07:30"), complete("18:10")]
    assert "another day" in (work_done(night, OAKLAND).check_ins[0].doubt or "")


@pytest.mark.parametrize("minutes", range(1, 61))
@pytest.mark.parametrize("rate", [10_999, 11_000, 11_001, 17_777, 1, 0])
def test_labour_is_the_exact_product_rounded_once_and_its_hours_say_the_same(
    minutes: int, rate: int
) -> None:
    work = OnSite(minutes=minutes, parts=(), parts_unpriced=False)
    bill = derived_bill(prices(rate=rate), ticket(), work, "DE", None)
    line = invoice_document(ticket(), bill, NOW, "record")["invoice_lines"][1]
    amount = (minutes * rate * 2 + 60) // 120
    assert line["line_extension_amount_cents"] == amount
    shown = Decimal(line["invoiced_quantity"]) * line["price_amount_cents"]
    assert int(shown + Decimal("0.5")) == amount


def test_ten_minutes_at_110_dollars_are_18_dollars_33() -> None:
    work = OnSite(minutes=10, parts=(), parts_unpriced=False)
    labour = derived_bill(prices(step=10), ticket(), work, "DE", None).lines[1]
    assert (labour.charged, labour.quantity) == (1833, Decimal("0.16667"))


def test_parts_whose_total_no_reader_keeps_are_to_be_priced() -> None:
    dear = {"description": "Strike", "amount_cents": SAFE_INTEGER}
    used = {"parts_used_or_needed": True}
    too_many = complete("18:15", parts=[dear, dear], checklist_status=used)
    work = work_done(visit(check_in("18:00", f"{DAY}T18:00"), too_many), OAKLAND)
    assert work.parts_unpriced
    just = complete("18:15", parts=[dear], checklist_status=used)
    work = work_done(visit(check_in("18:00", f"{DAY}T18:00"), just), OAKLAND)
    bill = derived_bill(prices(tax=875), ticket(), work, "US", None)
    assert bill.total_cents <= SAFE_INTEGER
    assert (bill.lines[2].kind, bill.lines[2].charged) == (LineKind.PARTS, 0)
