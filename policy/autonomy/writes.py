"""The rows that a pause or a rollback of autonomy writes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.command.writes import Write


class UpsertAutonomy(Write):
    """The one row of an autonomy scope (contract 7.15)."""

    id: UUID
    scope_type: str
    incident_type: str | None
    ticket_id: UUID | None
    is_paused: bool
    reason: str | None
    actor_type: str
    actor_id: str
    actor_role: str | None
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None
    created_at: datetime
    updated_at: datetime


class InsertAutonomyHistory(Write):
    """One change of an autonomy scope."""

    id: UUID
    control_state_id: UUID
    scope_type: str
    incident_type: str | None
    ticket_id: UUID | None
    action: str
    previous_is_paused: bool
    next_is_paused: bool
    actor_type: str
    actor_id: str
    actor_role: str
    request_id: UUID
    correlation_id: str | None
    trace_id: str | None
    reason: str | None
    payload: Mapping[str, Any]
