"""What happened to a ticket's escalation ladders so far, and how it is answered."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.model import Frozen
from policy.rules.escalation import HOLD_EXPIRY
from policy.values import format_datetime

EVERY_KIND = "*"


class Escalation(Frozen):
    """A step that was raised; `lateness_ms` is how late, measured from when it could be raised."""

    id: UUID
    kind: str
    level: int
    due_at: datetime
    raised_at: datetime
    lateness_ms: int
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


class Snooze(Frozen):
    """Until when steps of a kind wait; `EVERY_KIND` is all of them."""

    kind: str
    until: datetime


class Past(Frozen):
    """What happened to a ticket's ladders so far."""

    raised: tuple[Escalation, ...] = ()
    snoozes: tuple[Snooze, ...] = ()

    def snoozed_until(self, kind: str, after: datetime) -> datetime | None:
        """Return until when a kind waits, if that is later than `after`."""
        untils = [each.until for each in self.snoozes if each.kind in {kind, EVERY_KIND}]
        last = max(untils, default=after)
        return last if last > after and kind != HOLD_EXPIRY else None

    def shapes(self, raised: Iterable[Escalation], now: datetime) -> list[dict[str, Any]]:
        """Return escalations as they are answered."""
        return [self._shape(each, now) for each in raised]

    def _shape(self, each: Escalation, now: datetime) -> dict[str, Any]:
        until = self.snoozed_until(each.kind, now)
        return {
            "id": str(each.id),
            "kind": each.kind,
            "level": each.level,
            "due_at": format_datetime(each.due_at),
            "raised_at": format_datetime(each.raised_at),
            "lateness_ms": each.lateness_ms,
            "acknowledged_by": each.acknowledged_by,
            "acknowledged_at": each.acknowledged_at and format_datetime(each.acknowledged_at),
            "snoozed_until": until and format_datetime(until),
        }
