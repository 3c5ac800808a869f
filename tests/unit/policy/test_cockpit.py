"""The pure parts of the cockpit: its order, its texts and what may be done next."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from policy.codes import Code
from policy.command.effects import Denial
from policy.deadlines.sla import SlaStatus
from policy.model import Role, State
from policy.reads.actions import (
    COCKPIT_ACTIONS,
    COCKPIT_MORE_ACTIONS,
    PACKET_ACTIONS,
    Situation,
    actions_of,
)
from policy.reads.cockpit import (
    Position,
    Span,
    clock_bound,
    delay_attribution,
    minutes_left,
    spans_after,
    spans_of,
    timer_text,
)
from policy.rules.bundle import load_bundle

BUNDLE = load_bundle()
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
BREACH, WARNING, HEALTHY = SlaStatus.BREACH, SlaStatus.WARNING, SlaStatus.HEALTHY


@pytest.mark.parametrize(
    ("statuses", "spans"),
    [
        ([], [Span(None, None)]),
        ([BREACH], [Span(None, 0)]),
        ([WARNING], [Span(0, 46)]),
        ([HEALTHY], [Span(46, None)]),
        ([WARNING, BREACH], [Span(None, 46)]),
        ([HEALTHY, BREACH], [Span(None, 0), Span(46, None)]),
        ([HEALTHY, WARNING, BREACH], [Span(None, None)]),
    ],
)
def test_statuses_are_spans_of_remaining_minutes(
    statuses: list[SlaStatus], spans: list[Span]
) -> None:
    assert spans_of(BUNDLE, statuses) == spans


def test_what_is_left_of_the_spans_begins_behind_the_minute() -> None:
    spans = [Span(None, 0), Span(46, None)]
    assert list(spans_after(spans, -5)) == [Span(-4, 0), Span(46, None)]
    assert list(spans_after(spans, -1)) == [Span(46, None)]
    assert list(spans_after(spans, 50)) == [Span(51, None)]


@pytest.mark.parametrize("seconds", [-3600.5, -60, -59.999, -0.001, 0, 0.001, 59.999, 60, 7200])
def test_a_clock_lies_within_the_bounds_of_its_minute(seconds: float) -> None:
    clock = NOW + timedelta(seconds=seconds)
    minute = minutes_left(NOW, clock, 60)
    low, high = (clock_bound(NOW, each, 60) for each in (minute, minute + 1))
    assert low is not None
    assert high is not None
    assert low <= clock < high


def test_a_bound_beyond_the_calendar_is_no_bound() -> None:
    assert clock_bound(NOW, None, 60) is None
    assert clock_bound(NOW, 10**12, 60) is None


def test_positions_sort_as_the_queue_does() -> None:
    def position(minutes: int, rank: int, weight: int, updated_ms: int, last: int) -> Position:
        return Position(minutes, rank, weight, -updated_ms, UUID(int=last))

    queue = [
        position(-9, 2, 900, 1, 9),
        position(0, 0, 190, 5, 1),
        position(0, 0, 190, 4, 1),
        position(0, 0, 190, 4, 2),
        position(0, 0, 500, 9, 1),
        position(0, 1, 190, 9, 1),
        position(1, 0, 190, 9, 1),
    ]
    assert sorted([*queue[3:], *queue[:3]]) == queue


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "00:00"), (5, "00:05"), (60, "01:00"), (-75, "-01:15"), (6000, "100:00"), (-1, "-00:01")],
)
def test_the_timer_shows_hours_and_minutes(minutes: int, text: str) -> None:
    assert timer_text(minutes) == text


def test_a_delay_is_attributed_to_whose_turn_it_is() -> None:
    whose = {state: delay_attribution(state) for state in State}
    assert whose.pop(State.APPROVAL_REQUIRED) == "customer"
    assert {state for state, who in whose.items() if who == "provider"} == {
        *(State.SCHEDULED, State.DISPATCHED, State.ON_SITE, State.IN_PROGRESS, State.ON_HOLD),
        State.COMPLETED_PENDING_VERIFICATION,
    }


@pytest.mark.parametrize("state", list(State))
def test_an_action_is_enabled_exactly_where_policy_allows_its_tool(state: State) -> None:
    tools = {**COCKPIT_ACTIONS, **COCKPIT_MORE_ACTIONS}
    actions = actions_of(BUNDLE, tools, Situation(Role.DISPATCHER, state, "T"))

    assert [action["action_id"] for action in actions] == list(tools)
    for action in actions:
        rule = BUNDLE.tools[action["tool_name"]]
        allowed = rule.from_states is None or state in rule.from_states
        assert action["enabled"] is allowed
        assert (action["policy_error"] is None) is allowed
        assert action["endpoint"] == rule.route.replace("{ticketId}", "T")


def test_the_role_is_judged_before_the_state_and_the_state_before_obstacles() -> None:
    obstacles = {
        "tech.request_change": [Denial(code=Code.AUTONOMY_DISABLED)],
        "tech.complete": [
            Denial(code=Code.CLOSEOUT_REQUIREMENTS_INCOMPLETE, details={"requirement_code": "X"}),
            Denial(code=Code.AUTONOMY_DISABLED),
        ],
    }

    def errors(role: Role, state: State) -> dict[str, dict[str, object]]:
        actions = actions_of(BUNDLE, PACKET_ACTIONS, Situation(role, state, "T", obstacles))
        return {action["action_id"]: action["policy_error"] for action in actions}

    dispatcher = errors(Role.DISPATCHER, State.NEW)
    assert dispatcher["request_change"]["code"] == "FORBIDDEN"
    assert dispatcher["request_change"]["allowed_roles"] == ["technician"]
    assert dispatcher["complete_work"] == {
        "code": "INVALID_STATE_TRANSITION",
        "message": dispatcher["complete_work"]["message"],
        "dimension": "state",
        "from_state": "NEW",
        "allowed_from_states": ["IN_PROGRESS"],
        "to_state": "COMPLETED_PENDING_VERIFICATION",
    }
    technician = errors(Role.TECHNICIAN, State.IN_PROGRESS)
    assert technician["complete_work"]["code"] == "CLOSEOUT_REQUIREMENTS_INCOMPLETE"
    assert technician["complete_work"]["dimension"] == "evidence"
    assert technician["request_change"]["code"] == "AUTONOMY_DISABLED"
