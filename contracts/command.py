"""Names and ids that gateway, worker and operators share."""

from uuid import NAMESPACE_URL, UUID, uuid5

from policy.model import Actor

WORKFLOW_TYPE = "Ticket"
EXECUTE_COMMAND = "ticket.execute_command"
ESCALATE = "ticket.escalate"
DEADLINE_SWEEP = "DeadlineSweep"
SWEEP_DEADLINES = "deadline.sweep"
MEASURE_TIMERS = "timer.measure"
CLOCK_CHANGED = "clock.changed"
"""Signals a ticket that its deadlines may have moved."""
SWEEP_WORKFLOW, AUDIT_WORKFLOW = "EvidenceSweep", "EvidenceAudit"
SWEEP_UPLOADS, AUDIT_EVIDENCE = "evidence.sweep_uploads", "evidence.audit"
NOTIFY_CHANNEL = "command"
SEALED_ENCODING = b"binary/encrypted"
"""Marks a payload that only an installation with the right key can open."""
UNREADABLE_ENCODING = b"binary/unreadable"
"""Marks what is left of a sealed payload that was tampered with."""
AUTOMATION_HEADER = "x-dispatch-automation"
"""Sent, with any value, by a client that acts without a person: it obeys the autonomy ladder."""
TIMER_ACTOR_ID = "dispatch-ticket-timer"
SEARCH_ATTRIBUTES = {
    "DispatchPhase": "Keyword",
    "DispatchPriority": "Keyword",
    "DispatchSlaStatus": "Keyword",
    "DispatchAccountId": "Keyword",
    "DispatchSiteId": "Keyword",
    "DispatchTechId": "Keyword",
    "DispatchIncidentType": "Keyword",
    "DispatchEscalationLevel": "Int",
}
_COMMAND_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/command")
_TICKET_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/ticket")


def workflow_id(tenant_id: str, ticket_id: UUID | None) -> str:
    """Return the id of the workflow that owns a ticket, or a tenant's commands without one."""
    return f"tenant-{tenant_id}" if ticket_id is None else f"ticket-{ticket_id}"


def command_id(
    actor: Actor, endpoint: str, request_id: UUID, request_hash: str, rejections: int
) -> UUID:
    """Return the id of a command: equal calls share it until one of them is rejected.

    So concurrent repeats on any gateway join one command, and a repeat after a rejection is new.
    """
    parts = (actor.tenant_id, actor.actor_id, endpoint, request_id, request_hash, rejections)
    return uuid5(_COMMAND_SPACE, "\n".join(map(str, parts)))


def new_ticket_id(actor: Actor, endpoint: str, request_id: UUID) -> UUID:
    """Return the id reserved for a new ticket; a retry after a crash finds the same workflow."""
    parts = (actor.tenant_id, actor.actor_id, endpoint, str(request_id))
    return uuid5(_TICKET_SPACE, "\n".join(parts))
