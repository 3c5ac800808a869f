"""What operators see of a ticket in the Temporal UI: search attributes and the details card."""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.common import SearchAttributeUpdate

from contracts.attributes import KEYS
from contracts.ticket import Outcome, TicketView


def changed_attributes(
    known: Mapping[str, str | int], ticket: TicketView | None
) -> tuple[dict[str, str | int], Sequence[SearchAttributeUpdate[Any]]]:
    """Return all attributes of `ticket` and the updates that `known` lacks; each write is dear."""
    values = {} if ticket is None else _attributes(ticket)
    updates: list[SearchAttributeUpdate[Any]] = [
        key.value_set(values[name]) if name in values else key.value_unset()
        for name, key in KEYS.items()
        if values.get(name) != known.get(name)
    ]
    return values, updates


def card(ticket: TicketView | None, last: Outcome) -> str:
    """Return the current-details card, in Markdown."""
    verdict = f"denied: {last.code}" if last.code else "done"
    lines = [f"**Last command** `{last.tool}`: {verdict}"]
    if ticket is not None:
        due = f"{ticket.due_for} at {ticket.due_at:%Y-%m-%d %H:%M} UTC" if ticket.due_at else "none"
        lines = [
            f"**State** {ticket.state} (version {ticket.version}, {ticket.priority})",
            f"**SLA** {ticket.sla_status}, escalation level {ticket.escalation_level}",
            f"**Next deadline** {due}",
            *lines,
        ]
    return "\n\n".join(lines)


def _attributes(ticket: TicketView) -> dict[str, str | int]:
    values: dict[str, str | int | None] = {
        "DispatchPhase": ticket.phase,
        "DispatchPriority": ticket.priority,
        "DispatchSlaStatus": ticket.sla_status,
        "DispatchAccountId": str(ticket.account_id),
        "DispatchSiteId": str(ticket.site_id),
        "DispatchTechId": None if ticket.tech_id is None else str(ticket.tech_id),
        "DispatchIncidentType": ticket.incident_type,
        "DispatchEscalationLevel": ticket.escalation_level,
    }
    return {name: value for name, value in values.items() if value is not None}
