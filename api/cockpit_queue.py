"""The dispatcher's queue in SQL: any page in the order of contract 10.2, by index.

The order begins with the remaining minutes, which change with the clock, so no index holds it. But
within one priority they rise with `clock_at`, which is indexed. A page is therefore found in two
steps: the earliest clocks of each priority tell which minutes it reaches; of its last minute, which
may hold any number of tickets, only as many as fit are then taken in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from policy.bundle import OPEN_STATES, Bundle
from policy.cockpit import (
    PRIORITIES,
    Position,
    Span,
    clock_bound,
    minutes_left,
    spans_after,
)
from policy.model import Priority, State
from runtime.database import Connection

_FILTERS = """
        AND ($1::bool IS NULL OR is_open = $1)
        AND ($2::text[] IS NULL OR state = ANY ($2))
        AND ($3::uuid[] IS NULL OR account_id = ANY ($3))
        AND ($4::uuid[] IS NULL OR site_id = ANY ($4))
        AND ($5::uuid[] IS NULL OR assigned_tech_id = ANY ($5))
        AND ($6::text[] IS NULL OR incident_type = ANY ($6))
"""
_BRANCH = """
    (SELECT ticket_id, priority, state, clock_at, region_weight, newest_first, moved_at
       FROM ticket_queue
      WHERE priority = '{priority}' AND ${wanted}::bool
        AND (${since}::timestamptz IS NULL OR clock_at >= ${since})
        AND (${until}::timestamptz IS NULL OR clock_at < ${until})
        {filters} {further}
      ORDER BY {order} LIMIT $7)
"""
_LATER = """
        AND ({after}::int IS NULL OR (region_weight, newest_first, ticket_id) > ({after}, $17, $18))
"""
_FIRST_BOUND = 8


def _query(order: str, further: Sequence[str]) -> str:
    branches = []
    for place, priority in enumerate(PRIORITIES):
        wanted = _FIRST_BOUND + 3 * place
        branches.append(
            _BRANCH.format(
                priority=priority.value,
                wanted=wanted,
                since=wanted + 1,
                until=wanted + 2,
                filters=_FILTERS,
                further=further[place],
                order=order,
            )
        )
    return " UNION ALL ".join(branches)


EARLIEST = _query("clock_at", ("", "", ""))
MINUTE_IN_ORDER = _query(
    "region_weight, newest_first, ticket_id",
    tuple(_LATER.format(after=f"${parameter}") for parameter in (19, 20, 21)),
)
# The values decide which index serves best: plan anew for each call.
PLAN_BY_VALUES = "SET LOCAL plan_cache_mode = force_custom_plan"


@dataclass(frozen=True)
class QueueFilter:
    """What the queue is limited to. An empty selection limits nothing; a limit of None neither."""

    states: tuple[State, ...]
    priorities: tuple[Priority, ...]
    account_ids: tuple[UUID, ...] | None
    site_ids: tuple[UUID, ...] | None
    assigned_tech_ids: tuple[UUID, ...]
    incident_types: tuple[str, ...]


class QueueRow(NamedTuple):
    """A ticket in the queue, with what its place there follows from."""

    position: Position
    priority: Priority
    state: State
    clock_at: datetime
    moved_at: datetime | None


class Queue:
    """The queue as it stands at one instant, under one filter."""

    def __init__(self, conn: Connection, bundle: Bundle, wanted: QueueFilter, at: datetime) -> None:
        self._conn = conn
        self._bundle = bundle
        self._at = at
        self._priorities = wanted.priorities or PRIORITIES
        self._values = _values(wanted)

    async def page(
        self, spans: Sequence[Span], after: Position | None, limit: int
    ) -> list[QueueRow]:
        """Return the first `limit` rows within the spans, behind a position."""
        await self._conn.execute(PLAN_BY_VALUES)
        rows: list[QueueRow] = []
        if after is not None:
            rows = await self._minute(after.remaining_minutes, after, limit)
            spans = list(spans_after(spans, after.remaining_minutes))
        for span in spans:
            if len(rows) < limit:
                rows += await self._earliest(span, limit - len(rows))
        return rows

    async def _earliest(self, span: Span, limit: int) -> list[QueueRow]:
        """Return the first rows of a span."""
        found = await self._fetch(EARLIEST, span, limit)
        if len(found) < limit:
            return sorted(found)
        last = sorted(found)[limit - 1].position.remaining_minutes
        whole = sorted(row for row in found if row.position.remaining_minutes < last)
        return whole + await self._minute(last, None, limit - len(whole))

    async def _minute(self, minute: int, after: Position | None, limit: int) -> list[QueueRow]:
        """Return the first rows of one minute, behind a position."""
        later: list[object] = [0, UUID(int=0), None, None, None]
        first_rank = 0
        if after is not None:
            first_rank = after.priority_rank
            later[:2] = [after.newest_first, after.ticket_id]
            later[2 + first_rank] = after.region_weight
        span = Span(minute, minute + 1)
        found = await self._fetch(MINUTE_IN_ORDER, span, limit, first_rank, later)
        return sorted(found)[:limit]

    async def _fetch(
        self,
        query: str,
        span: Span,
        limit: int,
        first_rank: int = 0,
        further: Sequence[object] = (),
    ) -> list[QueueRow]:
        bounds: list[object] = []
        for rank, priority in enumerate(PRIORITIES):
            bounds += [
                rank >= first_rank and priority in self._priorities,
                clock_bound(self._bundle, priority, self._at, span.low),
                clock_bound(self._bundle, priority, self._at, span.high),
            ]
        rows = await self._conn.fetch(query, *self._values, limit, *bounds, *further)
        return [self._row(dict(row)) for row in rows]

    def _row(self, row: dict[str, Any]) -> QueueRow:
        priority = Priority(row["priority"])
        position = Position(
            minutes_left(self._bundle, priority, self._at, row["clock_at"]),
            PRIORITIES.index(priority),
            row["region_weight"],
            row["newest_first"],
            row["ticket_id"],
        )
        return QueueRow(position, priority, State(row["state"]), row["clock_at"], row["moved_at"])


def _values(wanted: QueueFilter) -> tuple[object, ...]:
    """Return the filters as parameters; None where nothing is limited."""
    states = set(wanted.states)
    is_open = True if states <= set(OPEN_STATES) else None
    return (
        is_open,
        None if states == set(OPEN_STATES) else [state.value for state in wanted.states],
        wanted.account_ids,
        wanted.site_ids,
        wanted.assigned_tech_ids or None,
        wanted.incident_types or None,
    )
