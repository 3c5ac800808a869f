"""The SLA: its boundaries to the minute, and the deadlines that follow from it."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.deadlines.sla import SlaStatus, deadlines, sla_of
from policy.model import Priority, State
from policy.rules.escalation import SLA_KINDS
from tests.unit.facts_builder import NOW, bundle, hold, ticket

MINUTE = timedelta(minutes=1)
INSTANT = timedelta(milliseconds=1)
TARGETS = {Priority.EMERGENCY: 60, Priority.URGENT: 240, Priority.ROUTINE: 1440}


@pytest.mark.parametrize(("priority", "target"), TARGETS.items())
@pytest.mark.parametrize(
    ("left", "status", "level"),
    [
        (46 * MINUTE, SlaStatus.HEALTHY, 0),
        (46 * MINUTE - INSTANT, SlaStatus.WARNING, 1),
        (45 * MINUTE, SlaStatus.WARNING, 1),
        (timedelta(0), SlaStatus.WARNING, 1),
        (-INSTANT, SlaStatus.BREACH, 2),
        (-MINUTE, SlaStatus.BREACH, 2),
    ],
)
def test_the_status_changes_on_the_minute(
    priority: Priority, target: int, left: timedelta, status: SlaStatus, level: int
) -> None:
    start = NOW + left - target * MINUTE
    sla = sla_of(bundle(), ticket(priority=priority, scheduled_start=start), NOW)
    assert (sla.target_minutes, sla.deadline_at) == (target, NOW + left)
    assert (sla.status, sla.escalation_level) == (status, level)
    assert sla.remaining_minutes == left // MINUTE


@pytest.mark.parametrize(("late", "level"), [(60 * MINUTE, 2), (60 * MINUTE + INSTANT, 3)])
def test_twice_the_target_is_the_third_level(late: timedelta, level: int) -> None:
    start = NOW - 60 * MINUTE - late
    job = ticket(priority=Priority.EMERGENCY, scheduled_start=start)
    assert sla_of(bundle(), job, NOW).escalation_level == level


def test_without_a_schedule_the_clock_runs_from_creation() -> None:
    job = ticket(scheduled_start=None, created_at=NOW - 2000 * MINUTE)
    assert sla_of(bundle(), job, NOW).remaining_minutes == -560


@pytest.mark.parametrize("state", [State.CLOSED, State.CANCELLED])
def test_a_finished_ticket_is_never_escalated(state: State) -> None:
    job = ticket(state, scheduled_start=NOW - timedelta(days=9))
    assert sla_of(bundle(), job, NOW).escalation_level == 0
    assert list(deadlines(bundle(), job, NOW)) == []


def test_each_deadline_is_the_first_instant_of_its_level() -> None:
    job = ticket(State.DISPATCHED, priority=Priority.URGENT)
    found = [each for each in deadlines(bundle(), job, NOW) if each.kind in SLA_KINDS]
    assert [each.level for each in found] == [1, 2, 3]
    for deadline in found:
        before = sla_of(bundle(), job, deadline.due_at - INSTANT).escalation_level
        assert before == deadline.level - 1
        assert sla_of(bundle(), job, deadline.due_at).escalation_level == deadline.level


def test_a_ticket_that_waits_for_its_schedule_gets_stuck_and_its_hold_expires() -> None:
    job = ticket(State.PENDING_CUSTOMER_CONFIRMATION)
    due = {each.kind: each.due_at for each in deadlines(bundle(), job, NOW, hold())}
    assert due["stuck_scheduling"] == NOW + 60 * MINUTE
    assert due["hold_expiry"] == datetime(2026, 11, 21, 11, 15, tzinfo=UTC)


def test_a_visit_at_the_end_of_the_calendar_has_deadlines_too() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    job = ticket(State.SCHEDULED, scheduled_start=last, scheduled_end=last + INSTANT)
    assert sla_of(bundle(), job, NOW).status is SlaStatus.HEALTHY
    assert all(each.due_at.year >= NOW.year for each in deadlines(bundle(), job, NOW))
