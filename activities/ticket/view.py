"""The workflow's view of a ticket: state for operators, and the next deadline for its timer."""

from collections.abc import Iterable
from datetime import datetime

from contracts.ticket import TicketView
from policy.deadlines.sla import Deadline, Sla
from policy.model import TERMINAL, State, Ticket
from policy.rules.bundle import Bundle

APPROVAL = "approval"
"""The phase that operators see while somebody must approve, wherever the visit stands meanwhile.

The contract's own phase of that state, which clients read, is the one of triage."""


def nearest_of(
    ahead: Iterable[Deadline], now: datetime, seen: frozenset[Deadline]
) -> Deadline | None:
    """Return the deadline that needs a timer first; past ones among `seen` need none any more."""
    open_deadlines = [each for each in ahead if each.due_at > now or each not in seen]
    return min(open_deadlines, key=lambda deadline: deadline.due_at, default=None)


def ticket_view(bundle: Bundle, ticket: Ticket, sla: Sla, nearest: Deadline | None) -> TicketView:
    """Return the view of `ticket`, whose SLA and nearest deadline are given."""
    return TicketView(
        state=ticket.state,
        version=ticket.version,
        phase=APPROVAL
        if ticket.state is State.APPROVAL_REQUIRED
        else bundle.phase_of[ticket.state],
        priority=ticket.priority,
        sla_status=sla.status,
        escalation_level=sla.escalation_level,
        account_id=ticket.account_id,
        site_id=ticket.site_id,
        tech_id=ticket.assigned_tech_id,
        incident_type=ticket.incident_type,
        terminal=ticket.state in TERMINAL,
        due_at=None if nearest is None else nearest.due_at,
        due_for=None if nearest is None else nearest.kind,
    )
