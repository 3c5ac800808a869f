"""Sealing: evidence that was judged can no longer change (contract 9.6)."""

from typing import Any

from policy.evidence.writes import SealEvidence
from policy.ticket.case import TicketCase


def seal(case: TicketCase[Any]) -> SealEvidence:
    """Return the write that makes all open evidence of the ticket immutable."""
    return SealEvidence(
        ticket_id=case.ticket.id,
        immutable_by=case.actor.actor_id,
        immutable_request_id=case.request_uuid,
        immutable_at=case.facts.now,
    )
