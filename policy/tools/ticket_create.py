"""ticket.create (contract 7.1)."""

from policy.access import scope_denial
from policy.case import Case, CommandTool, Need
from policy.codes import Code
from policy.effects import Decision, Denial, Effects
from policy.facts import Facts
from policy.model import State, Ticket
from policy.values import Cents, PayloadModel, Text, TextAsSent, Uuid


class Payload(PayloadModel):
    """A new ticket; priority and incident type are set by triage."""

    account_id: Uuid
    site_id: Uuid
    summary: Text
    description: TextAsSent | None = None
    asset_id: Uuid | None = None
    nte_cents: Cents = 0


def decide(case: Case[Payload]) -> Decision:
    """Create the ticket in NEW, version 0."""
    payload, facts = case.payload, case.facts
    denial = scope_denial(case.actor, payload.account_id, payload.site_id) or place_denial(
        facts, payload
    )
    if denial is not None:
        return denial
    if payload.asset_id is not None and facts.asset_site_id != payload.site_id:
        return Denial(code=Code.ASSET_NOT_FOUND, details={"asset_id": str(payload.asset_id)})
    if case.command.ticket_id is None:
        raise LookupError("a new ticket needs a reserved id")
    ticket = Ticket(
        id=case.command.ticket_id,
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
    return Effects(ticket=ticket, before=None, pairs=((None, State.NEW),), audit={})


def place_denial(facts: Facts, payload: Payload) -> Denial | None:
    """Return why the account and site of a new ticket do not fit, or None."""
    account_id, site_id = str(payload.account_id), str(payload.site_id)
    if not facts.account_exists:
        return Denial(code=Code.ACCOUNT_NOT_FOUND, details={"account_id": account_id})
    if facts.site is None:
        return Denial(code=Code.SITE_NOT_FOUND, details={"site_id": site_id})
    if facts.site.account_id != payload.account_id:
        details = {"account_id": account_id, "site_id": site_id}
        return Denial(code=Code.SITE_ACCOUNT_MISMATCH, details=details)
    return None


TOOL = CommandTool(payload=Payload, decide=decide, needs=frozenset({Need.PLACE}))
