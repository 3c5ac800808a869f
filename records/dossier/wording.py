"""What happened, in words for a customer."""

from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policy.audit.chain import Event

SAID: Final = {
    "ticket.create": "Request recorded",
    "ticket.blind_intake": "Request taken",
    "ticket.triage": "Request assessed",
    "ticket.request_info": "More information requested",
    "schedule.propose": "Appointment proposed",
    "schedule.confirm": "Appointment confirmed",
    "schedule.hold": "Appointment held for the customer",
    "schedule.release": "Hold released",
    "schedule.rollback": "Hold rolled back",
    "assignment.dispatch": "Technician dispatched",
    "tech.check_in": "Technician arrived and began work",
    "tech.request_change": "Change of scope requested",
    "approval.decide": "Request decided",
    "tech.complete": "Work completed",
    "closeout.candidate": "Work reported as complete",
    "qa.verify": "Work verified",
    "billing.generate_invoice": "Invoice prepared",
    "ticket.close": "Ticket closed",
    "ticket.force_close": "Ticket closed by override",
    "ticket.cancel": "Ticket cancelled",
    "dispatch.force_hold": "Work put on hold",
    "dispatch.resume": "Work resumed",
    "dispatch.force_unassign": "Technician unassigned",
    "dispatch.manual_bypass": "Completion recorded by a dispatcher",
    "reopen_after_verification": "Work reopened",
    "closeout.evidence_exception": "Evidence exception granted",
    "sms.inbound": "Message from the customer",
}


ABBREVIATED: Final = frozenset({"nte", "qa", "sla", "sms"})


def words(name: str) -> str:
    """Return an identifier as words."""
    parts = name.replace("_", " ").lower().split()
    said = " ".join(part.upper() if part in ABBREVIATED else part for part in parts)
    return said[:1].upper() + said[1:]


def duration(minutes: int) -> str:
    """Return a number of minutes as people say it."""
    hours, minutes = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)) or "0 min"


def happened(event: Event) -> str | None:
    """Return what an event means to a customer, None for what only machines care about."""
    return SAID.get(event["tool_name"])


class Clock:
    """Shows instants in the local time of a site."""

    def __init__(self, timezone: str) -> None:
        try:
            self._zone: Any = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            self._zone = UTC

    def show(self, instant: str | None) -> str:
        """Return a recorded instant as people at the site read it."""
        if not instant:
            return "-"
        local = datetime.fromisoformat(instant).astimezone(self._zone)
        return f"{local:%b} {local.day}, {local:%Y  %H:%M %Z}"
