"""schedule.propose, schedule.confirm and the three hold tools."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from policy.canonical import sha256_hex
from policy.codes import Code
from policy.delivery.rows import InsertOutbox
from policy.model import State
from policy.ticket.writes import InsertHold
from policy.values import Window
from tests.unit.facts_builder import NOW, allowed, denied, hold, judge, ticket
from tests.unit.payloads import (
    AUDIT,
    END,
    HOLD,
    NEW_IDS,
    PAYLOADS,
    SNAPSHOT_ROW,
    START,
    TICKET,
    WINDOW,
)

PENDING = State.PENDING_CUSTOMER_CONFIRMATION
LATER = {"start": "2026-12-01T09:00:00+01:00", "end": "2026-12-01T10:00:00", "note": "x"}
STRANGE = str(UUID(int=99))
IDS = {"snapshot_id": str(SNAPSHOT_ROW), "hold_id": str(HOLD)}


def message(payload: dict[str, Any] = WINDOW, **known: Any) -> InsertOutbox:  # noqa: ANN401  facts
    """Return the message that a confirmation sends."""
    decision = judge("schedule.confirm", State.SCHEDULE_PROPOSED, payload, **known)
    (write,) = allowed(decision).writes
    assert isinstance(write, InsertOutbox)
    return write


def test_the_first_proposed_window_becomes_the_tickets_own() -> None:
    options = [LATER, WINDOW]
    effects = allowed(judge("schedule.propose", State.READY_TO_SCHEDULE, {"options": options}))
    first = {"start": "2026-12-01T08:00:00.000Z", "end": "2026-12-01T10:00:00.000Z"}
    assert effects.audit == {"options": [first, WINDOW], "selected_window_hint": first}
    assert effects.ticket is not None
    assert effects.ticket.scheduled_start is not None
    assert effects.ticket.scheduled_start.hour == 8


@pytest.mark.parametrize("options", [[], [WINDOW] * 51, WINDOW, [{"start": END, "end": START}]])
def test_a_proposal_has_one_to_fifty_windows(options: object) -> None:
    denial = denied(judge("schedule.propose", payload={"options": options}))
    assert denial.code is Code.INVALID_REQUEST


NOTHING = {"start": "2026-11-21T09:00:00.0001Z", "end": "2026-11-21T09:00:00.0005Z"}


@pytest.mark.parametrize(
    ("tool", "payload"),
    [
        ("schedule.hold", {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": NOTHING}),
        ("schedule.confirm", NOTHING),
        ("schedule.propose", {"options": [WINDOW, NOTHING]}),
        ("assignment.recommend", {"service_type": "DOOR", "preferred_window": NOTHING}),
    ],
)
def test_a_window_whose_ends_are_answered_alike_is_refused(
    tool: str, payload: dict[str, Any]
) -> None:
    assert denied(judge(tool, payload=payload)).code is Code.INVALID_REQUEST
    whole = {**NOTHING, "end": "2026-11-21T09:00:00.001Z"}
    assert Window.model_validate(whole).answer()["end"] == "2026-11-21T09:00:00.001Z"


def test_a_confirmation_sends_one_message_whose_key_follows_from_the_transition() -> None:
    fields = {
        "ticket_id": str(TICKET),
        "event_type": "schedule.confirm.sms",
        "from_state": "SCHEDULE_PROPOSED",
        "to_state": "SCHEDULED",
        "scheduled_start": START,
        "scheduled_end": END,
    }
    transition = f"{TICKET}:schedule.confirm.sms:{sha256_hex(dict(fields))}"
    sent = message()
    assert sent.idempotency_key == f"{TICKET}:schedule.confirm.sms:{transition}"
    body = sent.payload["body"]
    assert sent.payload == {
        "channel": "SMS",
        "to": "UNKNOWN_RECIPIENT",
        "body": body,
        "state_transition_id": transition,
        "transition_id": str(AUDIT),
        "event_type": "schedule.confirm.sms",
        "aggregate_type": "ticket",
        "aggregate_id": str(TICKET),
        "payload": {
            "reason": "schedule.confirm.sms",
            "state_transition_id": transition,
            "transition_id": str(AUDIT),
        },
        "message_key": sent.idempotency_key,
    }
    assert body == "Your visit is confirmed: Sat 21 Nov, 1:00-3:00 AM PST."


def test_a_message_goes_to_the_customers_telephone() -> None:
    job = ticket(State.SCHEDULE_PROPOSED, customer_phone="15550100")
    assert message(ticket=job).payload["to"] == "15550100"


def test_the_same_window_confirmed_again_gets_its_ordinal() -> None:
    first, third = message(), message(earlier_confirmations=2)
    assert third.idempotency_key == f"{first.idempotency_key}:3"
    other = message({"start": START, "end": "2026-11-21T12:00:00Z"})
    assert other.idempotency_key != first.idempotency_key


@pytest.mark.parametrize(
    "state", [State.READY_TO_SCHEDULE, State.SCHEDULE_PROPOSED, State.SCHEDULED]
)
def test_a_hold_keeps_state_and_schedule_in_a_snapshot(state: State) -> None:
    effects = allowed(judge("schedule.hold", state))
    (snapshot,) = effects.writes
    assert isinstance(snapshot, InsertHold)
    assert (snapshot.id, snapshot.hold_sequence_id) == NEW_IDS
    assert snapshot.hold_state == state
    assert snapshot.scheduled_start == ticket().scheduled_start
    assert snapshot.hold_reason_notes == (
        f'{{"confirmation_window":{{"end":"{END}","start":"{START}"}},'
        f'"hold_reason":"CUSTOMER_PENDING","hold_sequence_id":"{NEW_IDS[1]}"}}'
    )
    assert effects.body is not None
    assert {name: effects.body[name] for name in list(effects.body)[1:]} == {
        "hold_id": str(NEW_IDS[1]),
        "snapshot_id": str(NEW_IDS[0]),
        "hold_state": state,
        "confirmation_window": WINDOW,
    }


def test_a_hold_may_wait_for_a_window_in_the_past() -> None:
    past = {"start": "2001-01-01T00:00:00Z", "end": "2001-01-01T01:00:00Z"}
    payload = {"hold_reason": "CUSTOMER_UNREACHABLE", "confirmation_window": past}
    allowed(judge("schedule.hold", State.SCHEDULED, payload))


def test_hold_tools_report_a_wrong_state_in_their_own_way() -> None:
    assert denied(judge("schedule.hold", State.NEW)).details == {
        "from_state": "NEW",
        "to_state": "PENDING_CUSTOMER_CONFIRMATION",
        "next_tools": ["ticket.triage", "ticket.request_info"],
        "next_roles": [],
    }
    for tool in ("schedule.release", "schedule.rollback"):
        denial = denied(judge(tool, State.CLOSED, hold=None))
        assert denial.code is Code.SCHEDULE_HOLD_STATE_CONFLICT
        nowhere: dict[str, Any] = {"next_tools": [], "next_roles": []}
        assert denial.details == {"from_state": "CLOSED", "to_state": None, **nowhere}
        held = denied(judge(tool, State.SCHEDULED, hold=hold(hold_state="SCHEDULED")))
        assert held.details["to_state"] == "SCHEDULED"


STALE = hold(
    hold_reason_notes='{"confirmation_window":{"start":"2001-01-01T00:00:00Z",'
    '"end":"2001-01-01T01:00:00Z"}}'
)
PAST = {"start": "2001-01-01T00:00:00.000Z", "end": "2001-01-01T01:00:00.000Z"}
LADDER: tuple[tuple[str, dict[str, Any], Code, dict[str, Any]], ...] = (
    ("schedule.release", {"hold": None}, Code.HOLD_SNAPSHOT_MISSING, {"ticket_id": str(TICKET)}),
    ("schedule.rollback", {"hold": None}, Code.HOLD_SNAPSHOT_MISSING, {"ticket_id": str(TICKET)}),
    (
        "schedule.release",
        {"hold": STALE, "payload": {"customer_confirmation_id": STRANGE}},
        Code.HOLD_CONFIRMATION_MISSING,
        {
            **IDS,
            "confirmation_log": {
                "confirmation_window": {
                    "start": "2001-01-01T00:00:00Z",
                    "end": "2001-01-01T01:00:00Z",
                }
            },
        },
    ),
    (
        "schedule.rollback",
        {"hold": STALE, "payload": {"confirmation_id": STRANGE}},
        Code.SCHEDULE_HOLD_STATE_CONFLICT,
        {**IDS, "confirmation_id": STRANGE},
    ),
    (
        "schedule.release",
        {"hold": STALE},
        Code.CUSTOMER_CONFIRMATION_STALE,
        {**IDS, "confirmation_window": PAST},
    ),
    (
        "schedule.release",
        {"hold": hold(hold_reason_notes="[")},
        Code.CUSTOMER_CONFIRMATION_STALE,
        {**IDS, "confirmation_window": None},
    ),
    (
        "schedule.rollback",
        {"hold": hold(hold_state="DISPATCHED")},
        Code.HOLD_SNAPSHOT_MISSING,
        {**IDS, "target_state": "DISPATCHED"},
    ),
)


@pytest.mark.parametrize(("tool", "known", "code", "details"), LADDER)
def test_the_way_out_of_a_hold_is_checked_in_order(
    tool: str, known: dict[str, Any], code: Code, details: dict[str, Any]
) -> None:
    denial = denied(judge(tool, PENDING, **known))
    assert (denial.code, dict(denial.details)) == (code, details)


def test_a_confirmation_counts_to_the_last_instant_of_its_window() -> None:
    end = NOW.isoformat()
    start = (NOW - timedelta(hours=1)).isoformat()
    notes = f'{{"confirmation_window":{{"start":"{start}","end":"{end}"}}}}'
    allowed(judge("schedule.release", PENDING, hold=hold(hold_reason_notes=notes)))
    tick = NOW + timedelta(milliseconds=1)
    late = judge("schedule.release", PENDING, hold=hold(hold_reason_notes=notes), now=tick)
    assert denied(late).code is Code.CUSTOMER_CONFIRMATION_STALE


@pytest.mark.parametrize("notes", [None, "", "[]", "7", '{"confirmation_window":{}}'])
def test_a_hold_with_unreadable_notes_can_still_be_rolled_back(notes: str | None) -> None:
    effects = allowed(judge("schedule.rollback", PENDING, hold=hold(hold_reason_notes=notes)))
    assert effects.audit["confirmation_window"] is None


def test_leaving_a_hold_restores_state_and_schedule_as_they_were() -> None:
    body = {**PAYLOADS["schedule.rollback"], "reason": "No answer"}
    effects = allowed(judge("schedule.rollback", PENDING, body))
    assert effects.ticket is not None
    assert (effects.ticket.state, effects.ticket.scheduled_start) == ("READY_TO_SCHEDULE", None)
    assert effects.body is not None
    assert list(effects.body)[1:] == [
        *("hold_id", "snapshot_id", "reason", "restored_state", "restored_window"),
    ]
    assert effects.body["restored_window"] == {"start": None, "end": None}
    released = allowed(judge("schedule.release", PENDING)).body
    assert released is not None
    assert "reason" not in released
