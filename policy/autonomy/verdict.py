"""Autonomy: whether automation may act on a ticket (contract 7.15)."""

from collections.abc import Sequence
from typing import Any

from policy.autonomy.model import AutonomyRow
from policy.codes import Code
from policy.command.effects import Denial
from policy.model import Ticket
from policy.rules.autonomy import Verdict
from policy.rules.bundle import Bundle

LEVEL_SCOPE = "TOOL"
"""The scope type of a refusal that comes from the ladder, not from a pause."""
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


def automation_denial(
    bundle: Bundle, tool: str, rows: Sequence[AutonomyRow], ticket: Ticket | None
) -> Denial | None:
    """Return why automation may not run `tool` on the ticket now, or None.

    Whoever acts in person is never asked this.
    """
    row = deciding_row(rows)
    incident_type = None if ticket is None else ticket.incident_type
    paused = row is not None and row.is_paused
    verdict = bundle.autonomy.verdict(tool, incident_type, paused=paused)
    if verdict is Verdict.RUN:
        return None
    if row is not None and verdict is Verdict.PAUSED:
        return Denial(code=Code.AUTONOMY_DISABLED, details=paused_details(row, ticket))
    details = {
        "dimension": "policy",
        "scope_type": LEVEL_SCOPE,
        "scope_id": tool,
        "reason": f"the autonomy level is {verdict.value}",
        "incident_type": incident_type,
        "ticket_id": None if ticket is None else str(ticket.id),
    }
    return Denial(code=Code.AUTONOMY_DISABLED, details=details)


def paused_details(row: AutonomyRow, ticket: Ticket | None) -> dict[str, Any]:
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
        "incident_type": None if ticket is None else ticket.incident_type,
        "ticket_id": None if ticket is None else str(ticket.id),
    }
