"""billing.generate_invoice (contract 7.13), with lines on wish: then a draft is stored."""

from typing import Annotated

from pydantic import AfterValidator, Field

from policy.billing.invoice import ARTIFACT_TYPE, MOST_LINES, Bill, Line, fits, invoice_document
from policy.canonical import sha256_hex
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.json_levels import SAFE_INTEGER
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.writes import UpsertArtifact
from policy.values import PayloadModel, at_most


def _payable(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    if not fits(Bill(lines=lines)):
        raise ValueError(f"the total is above {SAFE_INTEGER} cents")
    return lines


class Payload(PayloadModel):
    """Any object; without `lines` no key has a meaning."""

    lines: Annotated[
        tuple[Line, ...],
        Field(max_length=MOST_LINES),
        at_most(MOST_LINES),
        AfterValidator(_payable),
    ] = ()


def decide(case: TicketCase[Payload]) -> Decision:
    """Record that the verified work was invoiced; supplied lines must keep to what was allowed."""
    audit = {"invoice_generated": True}
    if not case.payload.lines:
        return case.moved(State.INVOICED, audit=audit)
    bill = Bill(lines=case.payload.lines)
    denial = _excess(case, bill)
    if denial is not None:
        return denial
    return case.moved(State.INVOICED, audit=audit, writes=(_draft(case, bill),))


def _excess(case: TicketCase[Payload], bill: Bill) -> Denial | None:
    """Return the denial of a total above what the customer allowed; an NTE of 0 is no limit."""
    nte, approved = case.ticket.nte_cents, case.facts.approved_increase_cents
    limit = min(nte + approved, SAFE_INTEGER)
    if not nte or bill.total_cents <= limit:
        return None
    details = {
        "total_cents": bill.total_cents,
        "nte_cents": nte,
        "approved_increase_cents": approved,
        "limit_cents": limit,
    }
    return Denial(code=Code.NTE_EXCEEDED, details=details)


def _draft(case: TicketCase[Payload], bill: Bill) -> UpsertArtifact:
    document = invoice_document(case.ticket, bill, case.facts.now, "caller")
    return UpsertArtifact(
        ticket_id=case.ticket.id,
        artifact_type=ARTIFACT_TYPE,
        artifact_name=f"invoice-{case.ticket.id}.json",
        artifact_hash=sha256_hex(document),
        artifact_payload=document,
        created_by=case.actor.actor_id,
        request_id=case.request_uuid,
        correlation_id=case.command.correlation_id,
        trace_id=case.command.trace_id,
    )


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.APPROVED_INCREASE}))
