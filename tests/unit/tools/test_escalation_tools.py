"""escalation.acknowledge and escalation.snooze."""

from datetime import timedelta

import pytest

from policy.codes import Code
from policy.deadlines.history import Escalation, Past, Snooze
from policy.model import State
from policy.ticket.writes import AcknowledgeEscalations, SnoozeEscalations
from policy.values import format_datetime
from tests.unit.facts_builder import NOW, allowed, bundle, denied, judge
from tests.unit.payloads import uuid_of

HOUR = timedelta(hours=1)
FRESH, SEEN = (
    Escalation(
        id=uuid_of(number),
        kind=kind,
        level=1,
        due_at=NOW - HOUR,
        raised_at=NOW - HOUR,
        lateness_ms=3,
        acknowledged_by=by,
        acknowledged_at=by and NOW - HOUR / 2,
    )
    for number, kind, by in ((61, "sla_warning", None), (62, "stuck_scheduling", "somebody"))
)
PAST = Past(raised=(FRESH, SEEN))


def test_without_an_id_all_that_nobody_acknowledged_is() -> None:
    effects = allowed(judge("escalation.acknowledge", payload={"note": "On it"}, past=PAST))
    (write,) = effects.writes
    assert isinstance(write, AcknowledgeEscalations)
    assert (write.ids, write.acknowledged_by, write.note) == ((FRESH.id,), "someone", "On it")
    assert effects.audit == {"escalation_ids": [str(FRESH.id)], "note": "On it"}
    assert effects.ticket is not None
    assert (effects.pairs, effects.ticket.version) == ((), 7)
    assert effects.body is not None
    (shown,) = effects.body["escalations"]
    assert (shown["acknowledged_by"], shown["acknowledged_at"]) == ("someone", format_datetime(NOW))


def test_a_second_acknowledgement_leaves_the_first_as_it_is() -> None:
    payload = {"escalation_id": str(SEEN.id)}
    effects = allowed(judge("escalation.acknowledge", payload=payload, past=PAST))
    assert effects.writes == ()
    assert effects.body is not None
    assert effects.body["escalations"][0]["acknowledged_by"] == "somebody"


def test_an_escalation_of_another_ticket_cannot_be_acknowledged() -> None:
    payload = {"escalation_id": str(uuid_of(63))}
    denial = denied(judge("escalation.acknowledge", payload=payload, past=PAST))
    assert (denial.code, denial.status) == (Code.ESCALATION_NOT_FOUND, 404)


def test_a_snooze_is_noted_and_the_ticket_looked_at_when_it_ends() -> None:
    until = format_datetime(NOW + HOUR)
    payload = {"until": until, "kind": "sla_warning", "reason": "Parts come at noon"}
    effects = allowed(judge("escalation.snooze", payload=payload, past=PAST))
    (write,) = effects.writes
    assert isinstance(write, SnoozeEscalations)
    assert (write.kind, write.snoozed_until) == ("sla_warning", NOW + HOUR)
    assert effects.look_at == NOW + HOUR
    assert effects.audit == payload
    assert effects.body is not None
    (shown,) = effects.body["escalations"]
    assert (shown["kind"], shown["snoozed_until"]) == ("sla_warning", until)


def test_a_new_snooze_of_a_kind_replaces_the_old_one() -> None:
    old = PAST.model_copy(update={"snoozes": (Snooze(kind="*", until=NOW + 9 * HOUR),)})
    payload = {"until": format_datetime(NOW + HOUR)}
    effects = allowed(judge("escalation.snooze", payload=payload, past=old))
    assert effects.body is not None
    untils = {each["snoozed_until"] for each in effects.body["escalations"]}
    assert untils == {format_datetime(NOW + HOUR)}


@pytest.mark.parametrize("after", [timedelta(0), -HOUR, timedelta(days=7, seconds=1)])
def test_a_snooze_ends_in_the_future_and_within_the_limit(after: timedelta) -> None:
    denial = denied(judge("escalation.snooze", payload={"until": format_datetime(NOW + after)}))
    assert denial.code is Code.INVALID_REQUEST
    assert denial.details["validation_errors"][0]["path"] == "/until"


def test_only_kinds_with_a_ladder_can_be_snoozed() -> None:
    payload = {"until": format_datetime(NOW + HOUR), "kind": "hold_expiry"}
    denial = denied(judge("escalation.snooze", payload=payload))
    assert denial.details["validation_errors"][0]["path"] == "/kind"


@pytest.mark.parametrize("tool", ["escalation.acknowledge", "escalation.snooze"])
def test_they_are_the_dispatchers_in_every_open_state(tool: str) -> None:
    rule = bundle().tools[tool]
    assert rule.roles == ("dispatcher",)
    assert set(rule.from_states or ()) == set(State) - {State.CLOSED, State.CANCELLED}
