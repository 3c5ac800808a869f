"""What happened, in words for a customer."""

from collections.abc import Mapping, Sequence
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
    "tech.complete": "Work completed",
    "closeout.candidate": "Work reported as complete",
    "qa.verify": "Work verified",
    "qa.return": "Work returned by quality assurance",
    "billing.generate_invoice": "Invoice prepared",
    "ticket.reclassify": "Reclassified",
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

DECIDED: Final = {"APPROVED": "Approved", "DENIED": "Denied", "CANCELLED": "Withdrawn"}
KINDS: Final = {"NTE_INCREASE": "Increase of the limit", "PROPOSAL": "Proposal"}

ABBREVIATED: Final = frozenset({"nte", "qa", "sla", "sms"})


def words(name: str) -> str:
    """Return an identifier as words."""
    parts = name.replace("_", " ").lower().split()
    said = " ".join(part.upper() if part in ABBREVIATED else part for part in parts)
    return said[:1].upper() + said[1:]


def dollars(cents: int) -> str:
    """Return an amount of US dollars."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def place(site: Mapping[str, Any]) -> str:
    """Return name and address of a site, a line each."""
    town = " ".join(filter(None, (site["city"], site["region"], site["postal_code"])))
    lines = (site["name"], site["address1"], site["address2"], town, site["country"])
    return "\n".join(filter(None, lines))


def approval_kind(approval: Mapping[str, Any]) -> str:
    """Return what an approval is about."""
    kind: str = approval["approval_type"]
    return KINDS.get(kind) or words(kind)


def allowed(nte_cents: int, approvals: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what the work may cost, with every increase that was approved; None is no limit."""
    if not nte_cents:
        return None
    more = sum(
        each["amount_delta_cents"] or 0
        for each in approvals
        if each["approval_type"] == "NTE_INCREASE" and each["status"] == "APPROVED"
    )
    if not more:
        return dollars(nte_cents)
    first = f"{dollars(nte_cents)} at first, {dollars(more)} approved on the way"
    return f"{dollars(nte_cents + more)}\n{first}"


class Story:
    """Tells events; those of an approval name what it was about, and who decided."""

    def __init__(self, approvals: Sequence[Mapping[str, Any]]) -> None:
        self._approvals = {each["id"]: each for each in approvals}

    def happened(self, event: Event) -> str | None:
        """Return what an event means to a customer, None for what only machines care about."""
        approval = self._approvals.get(str(event["payload"].get("approval_id")))
        if event["tool_name"] == "approval.decide":
            verdict = DECIDED.get(str(event["payload"].get("decision")), "Decided")
            about = "request" if approval is None else self._about(approval)
            return f"{verdict} by {event['actor_id']}: {about}"
        said = SAID.get(event["tool_name"])
        return f"{said}: {self._about(approval)}" if said and approval else said

    def reasons(
        self, approval: Mapping[str, Any], events: Sequence[Event]
    ) -> tuple[str | None, str | None]:
        """Return why an approval was asked for, and what was said when it was decided.

        The approval itself keeps one of the two, the later.
        """
        kept: str | None = approval["reason"]
        asked, notes = kept, None
        for event in events:
            payload = event["payload"]
            if str(payload.get("approval_id")) != approval["id"]:
                continue
            if event["tool_name"] == "approval.decide":
                notes = payload.get("notes")
            else:
                asked = (payload.get("request") or {}).get("reason", asked)
        return asked, notes

    def _about(self, approval: Mapping[str, Any]) -> str:
        kind, cents = approval_kind(approval).lower(), approval["amount_delta_cents"]
        return f"{kind} by {dollars(cents)}" if cents else kind


def decided(approval: Mapping[str, Any], clock: "Clock") -> str:
    """Return who decided on an approval, how and when."""
    status = DECIDED.get(approval["status"]) or words(approval["status"])
    if not approval["decided_by"]:
        return status
    return f"{status} by {approval['decided_by']}, {clock.show(approval['decided_at'])}"


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
