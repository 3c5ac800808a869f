"""The dispatcher's queue in SQL: any page in the order of contract 10.2, by index.

The order begins with the remaining minutes, which change with the clock, so no index holds it. But
within one priority they rise with `clock_at`, which is indexed. A page is therefore found in two
steps: the earliest clocks of each priority tell which minutes it reaches; of its last minute, which
may hold any number of tickets, only as many as fit are then taken in order. Clocks that stand, and
those that nobody judged since they changed, are found apart (`api/cockpit/standing_clocks.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.cockpit.branches import AS_PROMISED, AS_SCHEDULED, Part
from api.cockpit.standing_clocks import Clocks
from policy.deadlines.sla import MINUTE, rules_mark
from policy.model import Priority, State
from policy.reads.cockpit import (
    PRIORITIES,
    BoardRow,
    Position,
    Span,
    clock_bound,
    minutes_left,
    spans_after,
)
from policy.rules.bundle import OPEN_STATES, Bundle
from runtime.postgres.pool import Connection

# Read beyond the page, so that its last minute is usually whole.
MARGIN = 16
# The values decide which index serves best: plan anew for each call. The database puts the incident
# types into upper case as it did those of the tickets, which is not Python's way with every letter.
PREPARE = """
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       (SELECT contract FROM ticket_queue WHERE contract IS NOT NULL
         ORDER BY tenant_id, judged_by LIMIT 1) IS NOT NULL AS has_contracts,
       (SELECT promise_at FROM ticket_queue
         WHERE promise_at IS NOT NULL AND stands_at IS NULL AND is_open
         ORDER BY tenant_id, priority, promise_at LIMIT 1) IS NOT NULL AS has_promises,
       (SELECT array_agg(upper(word)) FROM unnest($1::text[]) word) AS incident_types
"""


@dataclass(frozen=True)
class BoardFilter:
    """What the queue is limited to. An empty selection limits nothing; a limit of None neither."""

    states: tuple[State, ...]
    priorities: tuple[Priority, ...]
    account_ids: tuple[UUID, ...] | None
    site_ids: tuple[UUID, ...] | None
    assigned_tech_ids: tuple[UUID, ...]
    incident_types: tuple[str, ...]


class Board:
    """The queue of tickets as it stands at one instant, under one filter."""

    def __init__(self, conn: Connection, bundle: Bundle, wanted: BoardFilter, at: datetime) -> None:
        self._conn = conn
        self._mark = rules_mark(bundle)
        self._clocks = Clocks(conn, bundle, at)
        self._targets = tuple(bundle.sla.target_minutes[priority] for priority in PRIORITIES)
        self._at = at
        self._ranks = {PRIORITIES.index(each) for each in wanted.priorities or PRIORITIES}
        self._kept = {PRIORITIES.index(each) for each in bundle.sla.kept_from_creation}
        self._wanted = wanted
        self._values: tuple[object, ...] = ()
        self._spans: tuple[Span, ...] = ()

    async def page(
        self, spans: Sequence[Span], after: Position | None, limit: int
    ) -> list[BoardRow]:
        """Return the first `limit` rows within the spans, behind a position."""
        (prepared,) = await self._conn.fetch(PREPARE, self._wanted.incident_types)
        self._values = (*_values(self._wanted), prepared["incident_types"])
        self._spans = tuple(spans)
        rows = await self._running(AS_SCHEDULED, spans, after, limit)
        if prepared["has_promises"]:
            rows += await self._running(AS_PROMISED, [Span(None, None)], after, limit)
        if prepared["has_contracts"]:
            priorities = [PRIORITIES[rank].value for rank in sorted(self._ranks)]
            wanted = (*self._values, limit, priorities)
            rows += await self._clocks.standing(wanted, spans, after)
            rows += await self._clocks.unjudged(wanted, spans, after)
        return sorted(rows)[:limit]

    async def _running(
        self, part: Part, spans: Sequence[Span], after: Position | None, limit: int
    ) -> list[BoardRow]:
        """Return the first rows of a part of those whose clock runs."""
        rows: list[BoardRow] = []
        if after is not None:
            if any(span.holds(after.remaining_minutes) for span in spans):
                rows = await self._minute(part, after.remaining_minutes, after, limit)
            spans = list(spans_after(spans, after.remaining_minutes))
        for span in spans:
            if len(rows) < limit:
                rows += await self._earliest(part, span, limit - len(rows))
        return rows

    async def _earliest(self, part: Part, span: Span, limit: int) -> list[BoardRow]:
        """Return the first rows of a span."""
        wanted = self._branches(part, span, self._ranks)
        found = await self._fetch(part.earliest, limit + MARGIN, wanted)
        if len(found) < limit + MARGIN:
            return found[:limit]
        broken = found[-1].position.remaining_minutes
        if found[limit - 1].position.remaining_minutes < broken:
            return found[:limit]
        whole = [row for row in found if row.position.remaining_minutes < broken]
        return whole + await self._minute(part, broken, None, limit - len(whole))

    async def _minute(
        self, part: Part, minute: int, after: Position | None, limit: int
    ) -> list[BoardRow]:
        """Return the first rows of one minute, behind a position."""
        behind: list[object] = [0, UUID(int=0), None, None, None]
        ranks = self._ranks
        if after is not None:
            ranks = {rank for rank in ranks if rank >= after.priority_rank}
            behind[:2] = [after.newest_first, after.ticket_id]
            behind[2 + after.priority_rank] = after.region_weight
        wanted = self._branches(part, Span(minute, minute + 1), ranks)
        return await self._fetch(part.minute_in_order, limit, [*wanted, *behind])

    def _branches(self, part: Part, span: Span, ranks: Collection[int]) -> list[object]:
        """Return the parameters of the branches, as `Part` says."""
        branches: list[object] = []
        for rank, target in enumerate(self._targets):
            is_kept = rank in self._kept
            if part is AS_SCHEDULED:
                wanted, extra = rank in ranks, [is_kept]
            else:
                wanted, extra = rank in ranks and is_kept, self._bounds(self._spans, target)
            (bounds,) = zip(*self._bounds([span], target), strict=True)
            branches += [target * MINUTE, wanted, *bounds, *extra]
        return branches

    def _bounds(self, spans: Sequence[Span], target: int) -> list[Any]:
        """Return the first and the last clocks of spans, in two lists; None is no bound."""
        return [
            [clock_bound(self._at, minute, target) for minute in minutes]
            for minutes in zip(*spans, strict=True)
        ]

    async def _fetch(self, query: str, limit: int, parameters: Sequence[object]) -> list[BoardRow]:
        rows = await self._conn.fetch(query, *self._values, limit, self._mark, *parameters)
        return sorted(self._row(*row) for row in rows)

    def _row(  # noqa: PLR0913, PLR0917  one argument a column
        self,
        rank: int,
        ticket_id: UUID,
        state: str,
        clock_at: datetime,
        weight: int,
        newest_first: int,
        contract: str | None,
        promise_at: datetime | None,
    ) -> BoardRow:
        minutes = minutes_left(self._at, promise_at or clock_at, self._targets[rank])
        position = Position(minutes, rank, weight, newest_first, ticket_id)
        return BoardRow(position, state, clock_at, contract, promise_at=promise_at)


def _values(wanted: BoardFilter) -> tuple[object, ...]:
    """Return the filters as parameters, the last apart; None where nothing is limited."""
    states = set(wanted.states)
    is_open = True if states <= set(OPEN_STATES) else None
    return (
        is_open,
        None if states == set(OPEN_STATES) else [state.value for state in wanted.states],
        wanted.account_ids,
        wanted.site_ids,
        wanted.assigned_tech_ids or None,
    )
