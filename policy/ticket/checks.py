"""The checks of a ticket's commands, in the order of contract 3.1, steps 8 to 11."""

from typing import Any

from policy.autonomy.verdict import automation_denial
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.decide import Judge
from policy.command.effects import Denial
from policy.command.payload import invalid_request
from policy.ticket.binding import binding_denial
from policy.ticket.case import TicketCase, TicketTool


def ticket_denial(case: TicketCase[Any], _: TicketTool[Any]) -> Denial | None:
    """Return the denial of a ticket that is not there, or not this actor's to act on."""
    if not case.rule.requires_ticket_id:
        return None
    ticket, actor = case.facts.ticket, case.actor
    if ticket is None or ticket.tenant_id != actor.tenant_id:
        return Denial(code=Code.TICKET_NOT_FOUND)
    return scope_denial(actor, ticket.account_id, ticket.site_id) or binding_denial(
        actor, case.command.tool, ticket.assigned_tech_id
    )


def stray_denial(case: TicketCase[Any], _: TicketTool[Any]) -> Denial | None:
    """Return the denial of a ticket that the tool is not about; the gateway sends none."""
    rule = case.rule
    if rule.requires_ticket_id or rule.creates_ticket or case.command.ticket_id is None:
        return None
    return invalid_request(case.command.tool, [("/ticket_id", "the tool is not about a ticket")])


def state_denial(case: TicketCase[Any], tool: TicketTool[Any]) -> Denial | None:
    """Return the tool's own denial of a state that it does not start from."""
    allowed = case.rule.from_states
    return None if allowed is None or case.ticket.state in allowed else tool.wrong_state(case)


def autonomy_denial(case: TicketCase[Any], _: TicketTool[Any]) -> Denial | None:
    """Return why automation may not do this now; whoever acts in person is never asked."""
    if not case.command.automated:
        return None
    facts = case.facts
    return automation_denial(case.bundle, case.command.tool, facts.autonomy, facts.ticket)


JUDGE = Judge(TicketCase, (ticket_denial, stray_denial, state_denial, autonomy_denial))
