"""The stored rows of autonomy: what is paused, and where."""

from datetime import datetime
from uuid import UUID

from policy.model import Frozen


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
