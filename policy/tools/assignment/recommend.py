"""assignment.recommend (contract 7.6)."""

from operator import itemgetter
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from policy.assignment.ranking import Candidate, Visit, normalised_service, ranked
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import Site
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.writes import InsertRecommendation
from policy.values import Name, PayloadModel, Window, format_datetime, whole_number

LIMIT = 20
Limit = Annotated[
    int,
    PlainValidator(whole_number(1, LIMIT)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LIMIT}),
]


class Payload(PayloadModel):
    """For which service, and how many technicians to name."""

    service_type: Name
    recommendation_limit: Limit = 5
    preferred_window: Window | None = None


def decide(case: TicketCase[Payload]) -> Decision:
    """Name the technicians that fit best, and keep a snapshot of them."""
    visit = _visit(case)
    if isinstance(visit, Denial):
        return visit
    payload = case.payload
    candidates, excluded = ranked(case.bundle.assignment, case.facts.roster, visit)
    best = candidates[: payload.recommendation_limit]
    if not best:
        details = {
            **_context(case),
            "service_type": visit.service_type,
            "recommendation_limit": payload.recommendation_limit,
        }
        return Denial(code=Code.ASSIGNMENT_RECOMMENDATION_UNAVAILABLE, details=details)
    snapshot = _snapshot(case, visit, best)
    snapshot_id = str(snapshot.recommendation_snapshot_id)
    audit = {
        "service_type": visit.service_type,
        "recommendation_limit": payload.recommendation_limit,
        "recommendation_snapshot_id": snapshot_id,
        "candidate_count": len(candidates),
        "preferred_window": payload.preferred_window.answer() if payload.preferred_window else None,
    }
    body = {
        "recommendations": [candidate.answer(visit) for candidate in best],
        "excluded": sorted((*case.facts.unfit, *excluded), key=itemgetter("tech_id")),
        "snapshot_id": snapshot_id,
        "evaluated_at": format_datetime(case.facts.now),
    }
    return case.recorded(audit=audit, writes=(snapshot,), body=body)


def _snapshot(
    case: TicketCase[Payload], visit: Visit, best: list[Candidate]
) -> InsertRecommendation:
    return InsertRecommendation(
        ticket_id=case.ticket.id,
        recommendation_snapshot_id=case.facts.new_ids[0],
        ticket_state=case.ticket.state.value,
        requested_by=case.actor.actor_id,
        request_id=case.request_uuid,
        correlation_id=case.command.correlation_id,
        trace_id=case.command.trace_id,
        recommendation_limit=case.payload.recommendation_limit,
        incident_type=visit.service_type,
        site_region=visit.site.region,
        candidates=[candidate.stored() for candidate in best],
        recommended_tech_id=best[0].technician.id,
    )


def _visit(case: TicketCase[Payload]) -> Visit | Denial:
    ticket, site = case.ticket, _site(case)
    if ticket.scheduled_start is None or ticket.scheduled_end is None:
        details = _context(case)
        return Denial(code=Code.ASSIGNMENT_RECOMMENDATION_CONTEXT_MISSING, details=details)
    service_type = normalised_service(case.payload.service_type)
    return Visit(service_type, site, ticket.scheduled_start, ticket.scheduled_end)


def _context(case: TicketCase[Payload]) -> dict[str, Any]:
    return {"ticket_state": case.ticket.state.value, "site_region": _site(case).region}


def _site(case: TicketCase[Payload]) -> Site:
    if case.facts.site is None:
        raise LookupError("a ticket always has a site")
    return case.facts.site


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.ROSTER}))
