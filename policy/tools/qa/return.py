"""qa.return: a verification that failed leads back to work, and leaves a trace (contract 7.17)."""  # noqa: N999  named by the tool

from typing import Annotated, Any

from pydantic import Field

from policy.canonical import sha256_hex
from policy.command.effects import Decision
from policy.command.writes import Write
from policy.model import State
from policy.rules.vocabulary import key_warnings
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.facts import Need
from policy.ticket.message import ticket_message
from policy.values import ClosedPayload, Name, Text, at_most

MOST_FINDINGS = 50


class Finding(ClosedPayload):
    """What is wrong with one piece of evidence or one item of the checklist."""

    key: Name
    note: Text


class Payload(ClosedPayload):
    """Why the work is not good enough, and what has to be done about it."""

    reason: Text
    findings: Annotated[
        tuple[Finding, ...], Field(max_length=MOST_FINDINGS), at_most(MOST_FINDINGS)
    ] = ()


def decide(case: TicketCase[Payload]) -> Decision:
    """Send the ticket back to work, and tell whoever it is assigned to."""
    findings = [finding.model_dump() for finding in case.payload.findings]
    audit = {"reason": case.payload.reason, "findings": findings}
    keys = [finding.key for finding in case.payload.findings]
    return case.moved(
        State.IN_PROGRESS,
        audit=audit,
        writes=_message(case, audit),
        body=case.told(key_warnings(case.bundle, case.ticket.incident_type, keys)),
    )


def _message(case: TicketCase[Payload], said: dict[str, Any]) -> tuple[Write, ...]:
    """Return what the technician is told; nobody is, where nobody is assigned."""
    ticket = case.ticket
    if ticket.assigned_tech_id is None:
        return ()
    count = len(said["findings"])
    more = f" Findings: {count}; the job packet has them." if count else ""
    message = ticket_message(
        case,
        event_type="qa.return.sms",
        hash_fields={
            "from_state": ticket.state.value,
            "to_state": State.IN_PROGRESS.value,
            "tech_id": str(ticket.assigned_tech_id),
            "said": sha256_hex(said),
        },
        key_suffix=f":{ticket.version + 1}",
        to=case.facts.assigned_phone,
        body=f"Your job {ticket.id} came back from quality assurance: "
        f"{_short(case.payload.reason)}{more}",
    )
    return (message,)


def _short(text: str, most: int = 200) -> str:
    """Return the beginning of a text on one line: a message is no letter."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


TOOL = TicketTool(payload=Payload, decide=decide, needs=frozenset({Need.ASSIGNED_PHONE}))
