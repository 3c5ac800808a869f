"""Rate limits: what one actor may call in all, with one tool, on one ticket.

The buckets are this process's own: N gateways let N times as much through. An actor's calls never
use up what another one has.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from policy.codes import Code
from policy.command.effects import Denial
from policy.model import Actor
from runtime.settings import Settings

MOST_BUCKETS: Final = 50_000
SECONDS_A_MINUTE: Final = 60
Key = tuple[object, ...]


@dataclass(frozen=True)
class Limit:
    """`per_second` calls in the long run, `burst` of them at once."""

    per_second: float
    burst: float


@dataclass
class Bucket:
    """The calls that are left, as of `at`."""

    limit: Limit
    left: float
    at: float

    def refill(self, now: float) -> None:
        """Add what has accrued."""
        self.left = min(self.limit.burst, self.left + (now - self.at) * self.limit.per_second)
        self.at = now

    def seconds_to_wait(self) -> int:
        """Return when the next call is allowed, in whole seconds; 0 is now."""
        return 0 if self.left >= 1 else math.ceil((1 - self.left) / self.limit.per_second)


class RateLimiter:
    """The token buckets of one process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[Key, Bucket] = {}
        self._most = MOST_BUCKETS
        per_minute = {
            "actor": settings.rate_limit_actor_per_minute,
            "tool": settings.rate_limit_tool_per_minute,
            "ticket": settings.rate_limit_ticket_per_minute,
        }
        burst_minutes = settings.rate_limit_burst_seconds / SECONDS_A_MINUTE
        self._limits = {
            scope: Limit(calls / SECONDS_A_MINUTE, max(1.0, calls * burst_minutes))
            for scope, calls in per_minute.items()
            if settings.rate_limits and calls > 0
        }

    def spend(self, actor: Actor, tool: str, ticket_id: UUID | None) -> Denial | None:
        """Count one call, or return why it must wait; a refused call is not counted."""
        buckets = dict(self._of(actor, tool, ticket_id))
        waits = {scope: bucket.seconds_to_wait() for scope, bucket in buckets.items()}
        scope = max(waits, key=waits.__getitem__, default=None)
        if scope is not None and waits[scope] > 0:
            details = {"limit": scope, "retry_after_seconds": waits[scope]}
            return Denial(code=Code.RATE_LIMITED, details=details)
        for bucket in buckets.values():
            bucket.left -= 1
        return None

    def _of(self, actor: Actor, tool: str, ticket_id: UUID | None) -> Iterator[tuple[str, Bucket]]:
        now = self._clock()
        whose = (actor.tenant_id, actor.actor_id)
        for scope, what in (("actor", None), ("tool", tool), ("ticket", ticket_id)):
            limit = self._limits.get(scope)
            if limit is None or (scope == "ticket" and ticket_id is None):
                continue
            key = (scope, *whose, what)
            bucket = self._buckets.get(key)
            if bucket is None:
                self._make_room(now)
                bucket = self._buckets[key] = Bucket(limit, limit.burst, now)
            bucket.refill(now)
            yield scope, bucket

    def _make_room(self, now: float) -> None:
        """Forget full buckets when there are many: a new one is as full."""
        if len(self._buckets) < self._most:
            return
        for key, bucket in list(self._buckets.items()):
            bucket.refill(now)
            if bucket.left >= bucket.limit.burst:
                del self._buckets[key]
        self._most = max(MOST_BUCKETS, 2 * len(self._buckets))
