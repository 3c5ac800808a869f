"""outbox.replay (contract 7.16)."""

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.delivery.rows import ReplayOutbox
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Need
from policy.values import PayloadModel, Uuid


class Payload(PayloadModel):
    """The dead-lettered message."""

    outbox_id: Uuid


def decide(case: TicketCase[Payload]) -> Decision:
    """Make the message due again."""
    outbox_id, row = str(case.payload.outbox_id), case.facts.outbox
    if row is None:
        return Denial(code=Code.OUTBOX_NOT_FOUND, details={"outbox_id": outbox_id})
    if row.status != "DEAD_LETTER":
        details = {"outbox_id": outbox_id, "outbox_status": row.status}
        return Denial(code=Code.OUTBOX_REPLAY_INVALID_STATE, details=details)
    return TicketEffects(
        audit={"outbox_id": outbox_id},
        writes=(ReplayOutbox(id=row.id, next_attempt_at=case.facts.now),),
        body={
            "id": outbox_id,
            "status": "PENDING",
            "aggregate_type": row.aggregate_type,
            "aggregate_id": row.aggregate_id,
        },
        audit_ticket_id=row.ticket_id,
        request_recorded=False,
    )


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.OUTBOX}))
