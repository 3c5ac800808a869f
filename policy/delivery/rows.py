"""A message in the outbox, as it is stored and as it is written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.command.writes import Write
from policy.model import Frozen


class OutboxRow(Frozen):
    """A row of `dispatch_outbox`; `ticket_id` is the aggregate if that is an existing ticket."""

    id: UUID
    status: str
    aggregate_type: str
    aggregate_id: str
    ticket_id: UUID | None


class InsertOutbox(Write):
    """A message to deliver; a taken idempotency key aborts the command (contract 14.1)."""

    aggregate_type: str
    aggregate_id: str
    event_type: str
    idempotency_key: str
    payload: Mapping[str, Any]


class ReplayOutbox(Write):
    """A dead-lettered message is due again, as if it had never been tried."""

    id: UUID
    next_attempt_at: datetime
