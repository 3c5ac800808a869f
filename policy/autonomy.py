"""Autonomy: whether automation may act on a ticket (contract 7.15)."""

from collections.abc import Sequence
from typing import Any

from policy.codes import Code
from policy.effects import Denial
from policy.facts import AutonomyRow
from policy.model import Ticket

MOST_SPECIFIC_FIRST = ("TICKET", "INCIDENT", "GLOBAL")


def deciding_row(rows: Sequence[AutonomyRow]) -> AutonomyRow | None:
    """Return the most specific of the rows that match a ticket; it decides, paused or not."""
    return min(rows, key=lambda row: MOST_SPECIFIC_FIRST.index(row.scope_type), default=None)


def autonomy_denial(rows: Sequence[AutonomyRow], ticket: Ticket) -> Denial | None:
    """Return the denial while autonomy is paused for the ticket, or None."""
    row = deciding_row(rows)
    if row is None or not row.is_paused:
        return None
    return Denial(code=Code.AUTONOMY_DISABLED, details=paused_details(row, ticket))


def paused_details(row: AutonomyRow, ticket: Ticket) -> dict[str, Any]:
    """Return the extra fields of AUTONOMY_DISABLED."""
    scope_id = {
        "TICKET": str(row.ticket_id),
        "INCIDENT": row.incident_type,
        "GLOBAL": "GLOBAL",
    }[row.scope_type]
    return {
        "dimension": "policy",
        "scope_type": row.scope_type,
        "scope_id": scope_id,
        "reason": row.reason,
        "incident_type": ticket.incident_type,
        "ticket_id": str(ticket.id),
    }
