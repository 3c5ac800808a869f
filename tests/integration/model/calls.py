"""Calls of the model's test: what is sent, what is seen of it and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.assignment.roster import Technician
from policy.model import Actor, Site

Row = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of a command, as a client makes it."""

    tool: str
    actor: Actor
    ticket_id: UUID | None
    payload: Row
    key: str


@dataclass(frozen=True)
class Seen:
    """What the model is told about a decision: its instant, and the ids that were drawn."""

    command_id: UUID
    correlation_id: str
    submitted_at: datetime
    decided_at: datetime
    audit_id: UUID
    new_ids: tuple[UUID, UUID]


@dataclass(frozen=True)
class Answer:
    """What a caller gets."""

    status: int
    body: Row
    replayed: bool = False


@dataclass(frozen=True)
class World:
    """The master data: one site, technicians by id, and the installation's key of redaction."""

    site: Site
    technicians: Mapping[UUID, Technician]
    redaction_key: bytes
