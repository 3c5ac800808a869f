"""escalation.snooze: further steps wait until a given instant."""

from datetime import timedelta

from policy.command.effects import Decision, Denial
from policy.command.payload import invalid_request
from policy.deadlines.history import EVERY_KIND, Past, Snooze
from policy.rules.bundle import Bundle
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.writes import SnoozeEscalations
from policy.values import DateTime, Name, PayloadModel, Text, instant

NAME = "escalation.snooze"


class Payload(PayloadModel):
    """Until when, and which kind; without one, every kind."""

    until: DateTime
    kind: Name | None = None
    reason: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Let the steps of the kind wait; the ticket is looked at again when the time has come."""
    payload, now = case.payload, case.facts.now
    most = timedelta(minutes=case.bundle.escalation.most_snooze_minutes)
    if not now < payload.until <= now + most:
        fault = f"must be in the future, by {int(most.total_seconds()) // 60} minutes at most"
        return invalid_request(NAME, [("/until", fault)])
    kind = payload.kind or EVERY_KIND
    known = case.facts.past
    others = tuple(each for each in known.snoozes if each.kind != kind)
    past = Past(raised=known.raised, snoozes=(*others, Snooze(kind=kind, until=payload.until)))
    shown = [each for each in past.raised if kind in {EVERY_KIND, each.kind}]
    effects = case.recorded(
        audit={
            "until": instant(payload.until),
            "kind": payload.kind,
            "reason": payload.reason,
        },
        writes=(
            SnoozeEscalations(
                ticket_id=case.ticket.id,
                kind=kind,
                snoozed_until=payload.until,
                snoozed_by=case.actor.actor_id,
                reason=payload.reason,
                updated_at=now,
            ),
        ),
        body={"ticket": case.shape(case.ticket), "escalations": past.shapes(shown, now)},
    )
    return effects.model_copy(update={"look_at": payload.until})


def check(bundle: Bundle, payload: Payload) -> Denial | None:
    """Refuse a kind that has no ladder."""
    kinds = bundle.escalation.ladders
    if payload.kind is None or payload.kind in kinds:
        return None
    return invalid_request(NAME, [("/kind", f"must be one of {', '.join(kinds)}")])


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.PAST}), check=check)
