"""What a decision may look at: the locked ticket, the clock, new ids and the rows a tool needs."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import SkipValidation

from policy.assignment.roster import RosterEntry, Technician
from policy.autonomy.model import AutonomyControl, AutonomyRow
from policy.clock.ticket_clock import ClockFacts
from policy.command.facts import Facts
from policy.deadlines.history import Past
from policy.deadlines.hold_notes import HoldSnapshot
from policy.delivery.rows import OutboxRow
from policy.evidence.model import Evidence, LookUp, SignedUpload, StoredObject, Upload
from policy.model import Frozen, Site, State, Ticket


class Need(StrEnum):
    """A group of facts that a tool asks for; each is one query of the activity.

    Those in `OUTSIDE` come from the object store and are gathered before the transaction.
    """

    PLACE = "place"
    SITE = "site"
    TECHNICIAN = "technician"
    SNAPSHOT = "snapshot"
    APPROVAL = "approval"
    PENDING_APPROVALS = "pending_approvals"
    EVIDENCE = "evidence"
    COMPLETION = "completion"
    AUTONOMY = "autonomy"
    EARLIER_CONFIRMATIONS = "earlier_confirmations"
    TRANSITIONS = "transitions"
    LOOK_UPS = "look_ups"
    DUPLICATE = "duplicate"
    ROSTER = "roster"
    HOLD = "hold"
    PRESIGNED = "presigned"
    UPLOAD = "upload"
    STORED = "stored"
    CONTROL = "control"
    APPROVED_INCREASE = "approved_increase"
    OUTBOX = "outbox"
    PAST = "past"
    ASSIGNED_PHONE = "assigned_phone"


OUTSIDE = frozenset({Need.LOOK_UPS, Need.PRESIGNED, Need.STORED})


class Duplicate(Frozen):
    """An earlier ticket of the same intake."""

    id: UUID
    state: State
    created_at: datetime


class Approval(Frozen):
    """An approval of the ticket; `return_state` is read from its evidence."""

    id: UUID
    status: str
    return_state: str | None


class CompletionContext(Frozen):
    """The newest completion attempt of contract 9.3: its tool and stored request."""

    tool_name: str
    request: Mapping[str, Any]


class NamedTicket(Frozen):
    """Where the ticket belongs that a tool without a ticket route names."""

    account_id: UUID
    site_id: UUID


class Snapshot(Frozen):
    """A recommendation snapshot of the ticket."""

    recommendation_snapshot_id: UUID
    recommended_tech_id: UUID


class PastTransition(Frozen):
    """One earlier transition of the ticket."""

    from_state: State | None
    to_state: State
    occurred_at: datetime


class TicketFacts(Facts):
    """Everything a decision may look at. Fields after `clock` are read only for tools that ask.

    `clock` is what the ticket's SLA clock follows from, None under the standard contract.
    """

    ticket: Ticket | None
    clock: ClockFacts | None = None
    account_exists: bool = False
    site: Site | None = None
    asset_site_id: UUID | None = None
    technician: Technician | None = None
    snapshot: Snapshot | None = None
    approval: Approval | None = None
    pending_approvals: tuple[UUID, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    excepted_keys: frozenset[str] = frozenset()
    completion: CompletionContext | None = None
    autonomy: tuple[AutonomyRow, ...] = ()
    earlier_confirmations: int = 0
    transitions: tuple[PastTransition, ...] = ()
    look_ups: Mapping[str, LookUp] | None = None
    duplicate: Duplicate | None = None
    roster: tuple[RosterEntry, ...] = ()
    unfit: SkipValidation[tuple[Mapping[str, Any], ...]] = ()
    hold: HoldSnapshot | None = None
    presigned: SignedUpload | None = None
    upload: Upload | None = None
    twin: Evidence | None = None
    stored: StoredObject | None = None
    control: AutonomyControl | None = None
    named_ticket: NamedTicket | None = None
    outbox: OutboxRow | None = None
    approved_increase_cents: int = 0
    past: Past = Past()
    assigned_phone: str | None = None
