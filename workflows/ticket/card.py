"""The details card: what operators read about a ticket in the Temporal UI."""

from contracts.ticket import TicketOutcome, TicketView


def card(ticket: TicketView | None, last: TicketOutcome) -> str:
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
