"""The words of the domain: states, roles, actors and the ticket itself."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of every value: immutable, closed against misspelt fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class State(StrEnum):
    """Lifecycle states, in the order of contract 5.1."""

    NEW = "NEW"
    NEEDS_INFO = "NEEDS_INFO"
    TRIAGED = "TRIAGED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    READY_TO_SCHEDULE = "READY_TO_SCHEDULE"
    SCHEDULE_PROPOSED = "SCHEDULE_PROPOSED"
    SCHEDULED = "SCHEDULED"
    PENDING_CUSTOMER_CONFIRMATION = "PENDING_CUSTOMER_CONFIRMATION"
    DISPATCHED = "DISPATCHED"
    ON_SITE = "ON_SITE"
    IN_PROGRESS = "IN_PROGRESS"
    ON_HOLD = "ON_HOLD"
    COMPLETED_PENDING_VERIFICATION = "COMPLETED_PENDING_VERIFICATION"
    VERIFIED = "VERIFIED"
    INVOICED = "INVOICED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


TERMINAL = frozenset({State.CLOSED, State.CANCELLED})


class Priority(StrEnum):
    """Ticket priorities, most urgent first."""

    EMERGENCY = "EMERGENCY"
    URGENT = "URGENT"
    ROUTINE = "ROUTINE"


class Role(StrEnum):
    """Canonical roles; aliases are data of the bundle."""

    DISPATCHER = "dispatcher"
    AGENT = "agent"
    TECHNICIAN = "technician"
    CUSTOMER = "customer"
    QA = "qa"
    APPROVER = "approver"
    FINANCE = "finance"
    ADMIN = "admin"
    OPS = "ops"
    AUDIT = "audit"
    SYSTEM = "system"


class ActorType(StrEnum):
    """What kind of actor stands behind a command."""

    HUMAN = "HUMAN"
    AGENT = "AGENT"
    SERVICE = "SERVICE"
    SYSTEM = "SYSTEM"


class Actor(Frozen):
    """Who acts, for which tenant, within which accounts and sites.

    A scope of None is `*`, every id of the tenant; an empty one matches nothing.
    """

    actor_id: str
    actor_role: Role
    actor_type: ActorType
    tenant_id: str = "default"
    account_ids: frozenset[UUID] | None = None
    site_ids: frozenset[UUID] | None = None
    technician_id: UUID | None = None


class Ticket(Frozen):
    """One row of `tickets`, with the names and types of contract 12.3. Times are aware UTC."""

    id: UUID
    tenant_id: str
    account_id: UUID
    site_id: UUID
    asset_id: UUID | None = None
    state: State = State.NEW
    priority: Priority = Priority.ROUTINE
    incident_type: str | None = None
    summary: str
    description: str | None = None
    nte_cents: int = 0
    currency: str = "USD"
    customer_name: str | None = None
    customer_phone: str | None = None
    customer_email: str | None = None
    identity_signature: str | None = None
    identity_confidence: int | None = None
    classification_confidence: int | None = None
    sop_handoff_required: bool = False
    sop_handoff_acknowledged: bool = False
    sop_handoff_prompt: str | None = None
    scheduled_start: datetime | None = None
    scheduled_end: datetime | None = None
    assigned_provider_id: UUID | None = None
    assigned_tech_id: UUID | None = None
    version: int = 0
    created_at: datetime
    updated_at: datetime


class Site(Frozen):
    """A site, as far as decisions need it."""

    id: UUID
    account_id: UUID
    region: str | None = None
    timezone: str = "UTC"
    country: str = "US"
