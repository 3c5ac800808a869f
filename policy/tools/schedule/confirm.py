"""schedule.confirm (contract 7.4)."""

from policy.command.effects import Decision
from policy.local_time import place_of, window_text
from policy.model import State
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.message import ticket_message
from policy.values import Window


class Payload(Window):
    """The confirmed window; it need not be one of the proposed."""


def decide(case: TicketCase[Payload]) -> Decision:
    """Store the window and tell the customer."""
    window, ordinal = case.payload, case.facts.earlier_confirmations + 1
    message = ticket_message(
        case,
        event_type="schedule.confirm.sms",
        hash_fields={
            "from_state": case.ticket.state.value,
            "to_state": State.SCHEDULED.value,
            "scheduled_start": window.answer()["start"],
            "scheduled_end": window.answer()["end"],
        },
        key_suffix=f":{ordinal}" if ordinal > 1 else "",
        to=case.ticket.customer_phone,
        body=f"Your visit is confirmed: {_told(case)}.",
    )
    return case.moved(
        State.SCHEDULED,
        audit={"confirmation_window": window.answer(), "confirmation_ordinal": ordinal},
        writes=(message,),
        fields={"scheduled_start": window.start, "scheduled_end": window.end},
    )


def _told(case: TicketCase[Payload]) -> str:
    """Return the window as the customer at the site reads it."""
    site, window = case.facts.site, case.payload
    if site is None:
        raise LookupError("a ticket has a site")
    return window_text(window.start, window.end, place_of(site.timezone, site.country))


TOOL = TicketTool(
    payload=Payload,
    decide=decide,
    needs=frozenset({Need.EARLIER_CONFIRMATIONS, Need.SITE}),
)
