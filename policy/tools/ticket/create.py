"""ticket.create (contract 7.1)."""

from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import State, Ticket
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Need
from policy.ticket.new_ticket import place_denial, reserved_id
from policy.values import Cents, PayloadModel, Text, TextAsSent, Uuid


class Payload(PayloadModel):
    """A new ticket; priority and incident type are set by triage."""

    account_id: Uuid
    site_id: Uuid
    summary: Text
    description: TextAsSent | None = None
    asset_id: Uuid | None = None
    nte_cents: Cents = 0


def decide(case: TicketCase[Payload]) -> Decision:
    """Create the ticket in NEW, version 0."""
    payload, facts = case.payload, case.facts
    denial = place_denial(case, payload)
    if denial is not None:
        return denial
    if payload.asset_id is not None and facts.asset_site_id != payload.site_id:
        return Denial(code=Code.ASSET_NOT_FOUND, details={"asset_id": str(payload.asset_id)})
    ticket = Ticket(
        id=reserved_id(case),
        tenant_id=case.actor.tenant_id,
        account_id=payload.account_id,
        site_id=payload.site_id,
        asset_id=payload.asset_id,
        summary=payload.summary,
        description=payload.description,
        nte_cents=payload.nte_cents,
        created_at=facts.now,
        updated_at=facts.now,
    )
    return TicketEffects(ticket=ticket, before=None, pairs=((None, State.NEW),), audit={})


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.PLACE}))
