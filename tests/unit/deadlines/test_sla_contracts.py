"""Contracts of their own: what their clocks count, what pauses them, what is shown of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from policy.clock.ledger import Pause
from policy.clock.ticket_clock import ClockFacts, Move, clock_of
from policy.deadlines.report import sla_shape
from policy.deadlines.sla import Deadline, SlaStatus, deadlines, sla_of
from policy.model import Priority, State, Ticket
from policy.rules.bundle import BundleError, load_bundle
from policy.rules.escalation import SLA_KINDS
from tests.unit.facts_builder import NOW, bundle, ticket

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(milliseconds=1)
# NOW is a Friday at noon, UTC; at the site it is open from Monday to Friday.
OFFICE = {day: [["08:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
CREATED = NOW - 3 * HOUR


def facts(*moves: tuple[State, timedelta], **changes: Any) -> ClockFacts:  # noqa: ANN401
    """Return facts under `business_hours`; moves are (state, time since creation)."""
    values: dict[str, Any] = {
        "contract": "business_hours",
        "hours": json.dumps({"weekly": OFFICE, "holidays": False}),
        "timezone": "UTC",
        "country": "US",
        "region": None,
        "moves": (Move(State.NEW, CREATED), *(Move(state, CREATED + at) for state, at in moves)),
    }
    return ClockFacts(**values | changes)


def urgent(state: State, **fields: Any) -> Ticket:  # noqa: ANN401
    """Return an urgent ticket: eight hours of working time to resolve it."""
    values = {"priority": Priority.URGENT, "created_at": CREATED, "scheduled_start": None}
    return ticket(state, **values | fields)


def due(job: Ticket, clock: ClockFacts) -> dict[str, Deadline]:
    return {each.kind: each for each in deadlines(bundle(), job, NOW, None, clock)}


def test_only_working_time_counts() -> None:
    clock = facts((State.TRIAGED, HOUR))
    sla = sla_of(bundle(), urgent(State.TRIAGED), NOW, clock)
    assert (sla.target_minutes, sla.deadline_at) == (480, NOW + 5 * HOUR)
    late = sla_of(bundle(), urgent(State.TRIAGED, created_at=NOW + 4 * HOUR), NOW, clock)
    assert late.deadline_at == NOW + (72 + 2) * HOUR  # Monday at two


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.PENDING_CUSTOMER_CONFIRMATION, "customer hold"),
        (State.ON_HOLD, "on hold"),
        (State.APPROVAL_REQUIRED, "approval wait"),
        (State.NEEDS_INFO, "needs info"),
    ],
)
def test_each_waiting_state_pauses_the_clock_with_its_reason(state: State, reason: str) -> None:
    clock = facts((state, HOUR), (State.TRIAGED, 2 * HOUR))
    sla = sla_of(bundle(), urgent(State.TRIAGED), NOW, clock)
    assert sla.deadline_at == NOW + 6 * HOUR
    shown = sla_shape(bundle(), urgent(State.TRIAGED), NOW, clock)
    assert [(line["kind"], line["reason"]) for line in shown["ledger"]] == [
        ("working", "working hours"),
        ("paused", reason),
        ("working", "working hours"),
    ]
    assert shown["minutes"] == {"working": 120, "off": 0, "holiday": 0, "paused": 60}


def test_while_a_clock_stands_nothing_moves_and_nothing_comes_due() -> None:
    clock = facts((State.ON_HOLD, HOUR))
    for now in (NOW, NOW + 30 * HOUR):
        sla = sla_of(bundle(), urgent(State.ON_HOLD), now, clock)
        assert (sla.remaining_minutes, sla.status) == (420, SlaStatus.HEALTHY)
        assert sla.deadline_at == now + 7 * HOUR
        assert sla_shape(bundle(), urgent(State.ON_HOLD), now, clock)["standing_since"] is not None
    assert due(urgent(State.ON_HOLD), clock) == {}


def test_a_hold_that_begins_late_keeps_what_was_raised_before_it() -> None:
    start = NOW - 7.5 * HOUR - 4 * HOUR  # half past midnight: counts from eight o'clock
    job = urgent(State.ON_HOLD, created_at=start, priority=Priority.EMERGENCY)
    clock = facts(moves=(Move(State.NEW, start), Move(State.ON_HOLD, NOW - 2.5 * HOUR)))
    sla = sla_of(bundle(), job, NOW, clock)
    assert (sla.remaining_minutes, sla.status) == (30, SlaStatus.WARNING)
    assert list(due(job, clock)) == ["sla_warning"]


def test_a_pause_that_is_recorded_afterwards_counts_from_when_it_was() -> None:
    held = (Pause(CREATED + HOUR, CREATED + 3 * HOUR, "forgotten hold"),)
    clock = facts((State.TRIAGED, HOUR), adjustments=held)
    assert sla_of(bundle(), urgent(State.TRIAGED), NOW, clock).deadline_at == NOW + 68 * HOUR + HOUR


def test_each_deadline_is_the_first_instant_of_its_level_under_any_contract() -> None:
    clock = facts((State.NEEDS_INFO, HOUR), (State.TRIAGED, 4 * HOUR), (State.DISPATCHED, 5 * HOUR))
    job = urgent(State.DISPATCHED)
    found = [each for each in due(job, clock).values() if each.kind in SLA_KINDS]
    assert [each.level for each in found] == [1, 2, 3]
    for each in found:
        before = sla_of(bundle(), job, each.due_at - INSTANT, clock).escalation_level
        assert before == each.level - 1
        assert sla_of(bundle(), job, each.due_at, clock).escalation_level == each.level


def test_a_state_that_no_transition_tells_of_counts_since_the_ticket_was_updated() -> None:
    job = urgent(State.ON_HOLD, updated_at=NOW - HOUR)
    clock = clock_of(bundle().sla, job, facts((State.TRIAGED, HOUR)))
    assert clock.pauses == (Pause(NOW - HOUR, None, "on hold"),)


def test_targets_say_whether_they_were_met() -> None:
    clock = facts(
        *((State.TRIAGED, 2 * HOUR), (State.DISPATCHED, 2.5 * HOUR), (State.ON_SITE, 3 * HOUR)),
        (State.IN_PROGRESS, 3 * HOUR),
    )
    shown = sla_shape(bundle(), urgent(State.IN_PROGRESS), NOW, clock)
    assert (shown["response"]["status"], shown["response"]["remaining_minutes"]) == ("missed", -60)
    assert (shown["arrival"]["status"], shown["arrival"]["remaining_minutes"]) == ("met", 60)
    assert (shown["resolution"]["status"], shown["resolution"]["met_at"]) == ("healthy", None)
    assert (shown["contract"], shown["calendar"]) == ("business_hours", "site")


def test_the_ledger_of_a_finished_ticket_ends_with_it() -> None:
    clock = facts((State.CANCELLED, HOUR))
    shown = sla_shape(bundle(), urgent(State.CANCELLED), NOW + 99 * HOUR, clock)
    assert shown["resolution"]["status"] == "met"
    assert shown["minutes"] == {"working": 60, "off": 0, "holiday": 0, "paused": 0}


def test_under_the_standard_contract_every_minute_counts_and_adjustments_do_not() -> None:
    held = (Pause(CREATED, NOW, "forgotten hold"),)
    clock = facts((State.ON_HOLD, HOUR), contract="standard", adjustments=held)
    job = urgent(State.ON_HOLD)
    assert sla_of(bundle(), job, NOW, clock) == sla_of(bundle(), job, NOW)
    shown = sla_shape(bundle(), job, NOW, clock)
    assert (shown["response"], shown["arrival"]) == (None, None)
    assert [line["kind"] for line in shown["ledger"]] == ["working"]
    assert shown["problems"] == ["adjustments do not count under standard"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"contract": "gold"}, "unknown contract gold"), ({"hours": "[]"}, "unreadable hours")],
)
def test_what_cannot_be_followed_is_told(changes: dict[str, Any], problem: str) -> None:
    shown = sla_shape(bundle(), urgent(State.TRIAGED), NOW, facts((State.TRIAGED, HOUR), **changes))
    assert [problem in each for each in shown["problems"]] == [True]
    assert shown["minutes"]["working"] == 180


TARGETS: dict[str, int] = dict.fromkeys(Priority, 60)
STANDARD = {"calendar": "always", "resolution": TARGETS}


@pytest.mark.parametrize(
    "contracts",
    [
        {},
        {"standard": {**STANDARD, "calendar": "site"}},
        {"standard": {**STANDARD, "pauses": {"ON_HOLD": "on hold"}}},
        {"standard": {**STANDARD, "resolution": {"EMERGENCY": 60}}},
        {"standard": STANDARD, "gold": {**STANDARD, "response": {**TARGETS, "URGENT": 0}}},
        {"standard": STANDARD, "gold": {**STANDARD, "pauses": {"CLOSED": "done"}}},
    ],
)
def test_contracts_that_cannot_be_kept_stop_the_start(contracts: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        load_bundle({"sla": {"contracts": contracts}})
