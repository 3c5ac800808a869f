"""What a decision may look at: the locked ticket, the clock, new ids and the rows a tool needs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, SkipValidation

from policy.assignment.roster import RosterEntry, Technician
from policy.clock.ticket_clock import ClockFacts
from policy.deadlines.history import Past
from policy.model import Frozen, State, Ticket


class Site(Frozen):
    """A site, as far as decisions need it."""

    id: UUID
    account_id: UUID
    region: str | None = None
    timezone: str = "UTC"


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


class Evidence(Frozen):
    """One row of `evidence_items`."""

    id: UUID
    ticket_id: UUID
    kind: str
    uri: str
    checksum: str | None = None
    metadata: Mapping[str, Any]
    created_by: str | None = None
    created_at: datetime
    content_type: str | None = None
    size_bytes: int | None = None
    object_version_id: str | None = None
    retention_until: datetime | None = None
    is_immutable: bool = False
    immutable_reason: str | None = None
    immutable_by: str | None = None
    immutable_at: datetime | None = None

    @property
    def evidence_key(self) -> str | None:
        """The requirement that this item answers, if it names one."""
        key = self.metadata.get("evidence_key")
        return key if isinstance(key, str) and key else None


class CompletionContext(Frozen):
    """The newest completion attempt of contract 9.3: its tool and stored request."""

    tool_name: str
    request: Mapping[str, Any]


class AutonomyRow(Frozen):
    """One row of `autonomy_control_state` that matches the ticket."""

    scope_type: str
    incident_type: str | None
    ticket_id: UUID | None
    is_paused: bool
    reason: str | None


class AutonomyControl(Frozen):
    """The stored row of the scope that a command pauses or rolls back."""

    id: UUID
    is_paused: bool
    created_at: datetime


class Subject(Frozen):
    """Where the ticket belongs that a tool without a ticket route names."""

    account_id: UUID
    site_id: UUID


class OutboxRow(Frozen):
    """A row of `dispatch_outbox`; `ticket_id` is the aggregate if that is an existing ticket."""

    id: UUID
    status: str
    aggregate_type: str
    aggregate_id: str
    ticket_id: UUID | None


class HoldSnapshot(Frozen):
    """The newest hold of the ticket."""

    id: UUID
    hold_sequence_id: UUID
    hold_state: str
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    hold_reason_notes: str | None
    created_at: datetime


class Snapshot(Frozen):
    """A recommendation snapshot of the ticket."""

    recommendation_snapshot_id: UUID
    recommended_tech_id: UUID


class PastTransition(Frozen):
    """One earlier transition of the ticket."""

    from_state: State | None
    to_state: State
    occurred_at: datetime


class SignedPut(Frozen):
    """A presigned PUT; `headers` are exactly what the client must send."""

    bucket: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime
    multipart: "MultipartUpload | None" = None


class SignedPart(Frozen):
    """A permission to put one part, numbered from 1."""

    part_number: int
    size_bytes: int
    url: str
    headers: Mapping[str, str]


class MultipartUpload(Frozen):
    """An upload in parts that the store has begun."""

    multipart_id: str
    part_bytes: int
    parts: tuple[SignedPart, ...]


class SignedUpload(SignedPut):
    """A permission to put one announced object into the store."""

    upload_id: UUID
    object_key: str


class Upload(Frozen):
    """An announced upload of the ticket, as stored."""

    id: UUID
    ticket_id: UUID | None = None
    bucket: str
    object_key: str
    kind: str
    evidence_key: str | None
    content_type: str
    size_bytes: int
    sha256: str
    evidence_item_id: UUID | None
    multipart_id: str | None = None
    part_bytes: int | None = None
    created_at: datetime | None = None
    abandoned: bool = False

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """The sizes of the parts, in order; none if the upload does not come in parts."""
        return part_sizes(self.size_bytes, self.part_bytes) if self.part_bytes else ()

    @property
    def uri(self) -> str:
        """The reference that evidence of this upload has."""
        return f"s3://{self.bucket}/{self.object_key}"


def part_sizes(size_bytes: int, part_bytes: int) -> tuple[int, ...]:
    """Return the sizes of the parts of an upload."""
    whole, rest = divmod(size_bytes, part_bytes)
    return (part_bytes,) * whole + ((rest,) if rest else ())


class StoredObject(Frozen):
    """What the store holds under the key of an upload; without a size, nothing.

    An object of another size is not hashed. `retention_until` is set if the store locked it;
    `sniffed_type` is what its first bytes show, `inspection` what was seen in an image.
    """

    size_bytes: int | None = None
    sha256: str | None = None
    content_type: str | None = None
    version_id: str | None = None
    retention_until: datetime | None = None
    sniffed_type: str | None = None
    inspection: Mapping[str, Any] = Field(default_factory=dict)


class LookUp(Frozen):
    """What looking a uri up found: nothing wrong, or the failure code of contract 9.5."""

    failure: str | None = None
    message: str | None = None
    sha256: str | None = None
    etag: str | None = None
    content_md5: str | None = None


class Facts(Frozen):
    """Everything a decision may look at. Fields after `clock` are read only for tools that ask.

    `now` is the instant of the transaction, cut to milliseconds; `audit_id` and `new_ids` are
    random ids for the rows that the decision may create. `clock` is what the ticket's SLA clock
    follows from, None under the standard contract.
    """

    now: datetime
    ticket: Ticket | None
    audit_id: UUID
    new_ids: tuple[UUID, UUID]
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
    subject: Subject | None = None
    outbox: OutboxRow | None = None
    approved_increase_cents: int = 0
    past: Past = Past()
