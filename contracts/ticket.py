"""Messages between gateway, workflow and activities. Fields are only ever added."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from policy.command.message import Command


class Message(BaseModel):
    """Base of every message: immutable; unknown fields of a newer sender are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SignedCommand(Message):
    """A command with the MAC of the gateway that accepted it (see `contracts.signing`).

    `trace_parent` is the gateway's span while it traces; it is not signed and decides nothing.
    """

    command: Command
    mac: str = ""
    trace_parent: str | None = None


class TicketView(Message):
    """What the workflow keeps of a ticket: enough for operators and for its one timer.

    `due_at` is the ticket's next escalation, `due_for` its kind; None when nothing is ahead.
    """

    state: str
    version: int
    phase: str
    priority: str
    sla_status: str
    escalation_level: int
    account_id: UUID
    site_id: UUID
    tech_id: UUID | None = None
    incident_type: str | None = None
    terminal: bool = False
    due_at: datetime | None = None
    due_for: str | None = None


class Outcome(Message):
    """What became of a command. `code` is None when it was allowed, else the error code.

    `ticket` is the ticket as stored after the command, None when there is none.
    """

    command_id: UUID
    tool: str
    code: str | None = None
    ticket: TicketView | None = None


class TicketStart(Message):
    """How a `Ticket` workflow starts, and what a run hands to the next one."""

    tenant_id: str
    ticket_id: UUID | None
    ticket: TicketView | None = None
    pending: tuple[SignedCommand, ...] = ()


class TimerFired(Message):
    """The ticket's timer fired: whatever is due by now must be escalated."""

    tenant_id: str
    ticket_id: UUID | None


class Swept(Message):
    """What a sweep did: uploads given up, objects that a lock keeps, uploads in parts ended."""

    uploads: int = 0
    kept: int = 0
    multiparts: int = 0


class Audited(Message):
    """What a re-hash found: how much was read, and how much of it is not what was recorded.

    `unchecked` are all items in our bucket that no reading can prove: without a SHA-256.
    """

    items: int = 0
    size_bytes: int = 0
    failures: int = 0
    unchecked: int = 0


class SweepStart(Message):
    """How a `DeadlineSweep` starts: how often it does, which is the span it reports on."""

    every_seconds: int = 60


class SweptDeadlines(Message):
    """One round of a sweep: overdue tickets found, and escalations raised, holds rolled back."""

    found: int = 0
    seen_to: int = 0


class SweepReport(Message):
    """What a sweep found, and how late timers raised `fired` steps since the last one."""

    found: int
    seen_to: int
    fired: int
    p50_ms: int | None = None
    p99_ms: int | None = None
    max_ms: int | None = None
