"""escalation.acknowledge: somebody has seen what was escalated and sees to it."""

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.writes import AcknowledgeEscalations
from policy.values import PayloadModel, Text, Uuid


class Payload(PayloadModel):
    """Which escalation; without one, all that nobody has acknowledged."""

    escalation_id: Uuid | None = None
    note: Text | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Note who took it; its step repeats no more. What was acknowledged before stays as it is."""
    payload, now = case.payload, case.facts.now
    past = case.facts.past
    meant = [each for each in past.raised if payload.escalation_id in {None, each.id}]
    if payload.escalation_id is not None and not meant:
        return Denial(code=Code.ESCALATION_NOT_FOUND)
    fresh = [each for each in meant if each.acknowledged_at is None]
    write = AcknowledgeEscalations(
        ids=tuple(each.id for each in fresh),
        acknowledged_by=case.actor.actor_id,
        acknowledged_at=now,
        note=payload.note,
    )
    seen = {"acknowledged_by": case.actor.actor_id, "acknowledged_at": now}
    answered = fresh if payload.escalation_id is None else meant
    shown = [each.model_copy(update=seen) if each in fresh else each for each in answered]
    return case.recorded(
        audit={"escalation_ids": [str(each.id) for each in fresh], "note": payload.note},
        writes=(write,) if fresh else (),
        body={"ticket": case.shape(case.ticket), "escalations": past.shapes(shown, now)},
    )


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.PAST}))
