"""What a hold's notes say: the window to confirm, and when the hold expires (contract 16.1)."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from policy.model import Frozen
from policy.rules.bundle import Bundle
from policy.values import Window, later


class HoldSnapshot(Frozen):
    """The newest hold of the ticket."""

    id: UUID
    hold_sequence_id: UUID
    hold_state: str
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    hold_reason_notes: str | None
    created_at: datetime


def notes_of(hold: HoldSnapshot) -> Mapping[str, Any] | None:
    """Return the stored notes, or None when they cannot be read."""
    try:
        notes = json.loads(hold.hold_reason_notes or "")
    except ValueError:
        return None
    return notes if isinstance(notes, dict) else None


def window_of(hold: HoldSnapshot) -> Window | None:
    """Return the window that the customer was asked to confirm, or None when it is unreadable."""
    try:
        return Window.model_validate((notes_of(hold) or {}).get("confirmation_window"))
    except ValidationError:
        return None


def hold_expires_at(bundle: Bundle, hold: HoldSnapshot) -> datetime:
    """Return when an unanswered hold is rolled back: the grace after window and hold are over."""
    window = window_of(hold)
    over = hold.created_at if window is None else max(window.end, hold.created_at)
    return later(over, timedelta(seconds=bundle.holds.expiry_grace_seconds))
