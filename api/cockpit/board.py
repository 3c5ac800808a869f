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
from uuid import UUID

from api.cockpit.standing_clocks import FILTERS, Clocks
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

# Not the deadline, by which rows are ordered: it may lie beyond the last year that is answered.
_COLUMNS = "rank, ticket_id, state, clock_at, region_weight, newest_first, contract"
_BRANCH = """
    (SELECT {rank} AS rank, clock_at + ${target}::interval AS deadline, ticket_id, state, clock_at,
            region_weight, newest_first, contract
       FROM ticket_queue
      WHERE priority = '{priority}' AND ${wanted}::bool
        AND stands_at IS NULL
        AND (contract IS NULL OR judged_by = $8 OR judged_by IS NOT NULL AND NOT is_open)
        AND (${since}::timestamptz IS NULL OR clock_at >= ${since})
        AND (${until}::timestamptz IS NULL OR clock_at < ${until})
        {filters} {further}
      ORDER BY {order} LIMIT $7)
"""
_BEHIND = """
        AND (${weight}::int IS NULL
             OR (region_weight, newest_first, ticket_id) > (${weight}, $21, $22))
"""
_FIRST_OF_BRANCH, _FIRST_WEIGHT = 9, 23


def _query(order: str, whole_order: str, further: str = "") -> str:
    """Return the first $7 rows of all priorities, each found by an index of its own."""
    branches = []
    for rank, priority in enumerate(PRIORITIES):
        place = _FIRST_OF_BRANCH + 4 * rank
        branches.append(
            _BRANCH.format(
                rank=rank,
                priority=priority.value,
                target=place,
                wanted=place + 1,
                since=place + 2,
                until=place + 3,
                filters=FILTERS,
                further=further.format(weight=_FIRST_WEIGHT + rank),
                order=order,
            )
        )
    rows = " UNION ALL ".join(branches)
    return f"SELECT {_COLUMNS} FROM ({rows}) q ORDER BY {whole_order} LIMIT $7"  # noqa: S608


EARLIEST = _query("clock_at", "deadline")
MINUTE_IN_ORDER = _query(
    "region_weight, newest_first, ticket_id",
    "rank, region_weight, newest_first, ticket_id",
    _BEHIND,
)
# Read beyond the page, so that its last minute is usually whole.
MARGIN = 16
# The values decide which index serves best: plan anew for each call. The database puts the incident
# types into upper case as it did those of the tickets, which is not Python's way with every letter.
PREPARE = """
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       (SELECT contract FROM ticket_queue WHERE contract IS NOT NULL
         ORDER BY tenant_id, judged_by LIMIT 1) IS NOT NULL AS has_contracts,
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
        self._wanted = wanted
        self._values: tuple[object, ...] = ()

    async def page(
        self, spans: Sequence[Span], after: Position | None, limit: int
    ) -> list[BoardRow]:
        """Return the first `limit` rows within the spans, behind a position."""
        (prepared,) = await self._conn.fetch(PREPARE, self._wanted.incident_types)
        self._values = (*_values(self._wanted), prepared["incident_types"])
        rows = await self._running(spans, after, limit)
        if prepared["has_contracts"]:
            priorities = [PRIORITIES[rank].value for rank in sorted(self._ranks)]
            wanted = (*self._values, limit, priorities)
            rows += await self._clocks.standing(wanted, spans, after)
            rows += await self._clocks.unjudged(wanted, spans, after)
        return sorted(rows)[:limit]

    async def _running(
        self, spans: Sequence[Span], after: Position | None, limit: int
    ) -> list[BoardRow]:
        """Return the first rows whose clock runs."""
        rows: list[BoardRow] = []
        if after is not None:
            rows = await self._minute(after.remaining_minutes, after, limit)
            spans = list(spans_after(spans, after.remaining_minutes))
        for span in spans:
            if len(rows) < limit:
                rows += await self._earliest(span, limit - len(rows))
        return rows

    async def _earliest(self, span: Span, limit: int) -> list[BoardRow]:
        """Return the first rows of a span."""
        found = await self._fetch(EARLIEST, span, limit + MARGIN)
        if len(found) < limit + MARGIN:
            return found[:limit]
        broken = found[-1].position.remaining_minutes
        if found[limit - 1].position.remaining_minutes < broken:
            return found[:limit]
        whole = [row for row in found if row.position.remaining_minutes < broken]
        return whole + await self._minute(broken, None, limit - len(whole))

    async def _minute(self, minute: int, after: Position | None, limit: int) -> list[BoardRow]:
        """Return the first rows of one minute, behind a position."""
        behind: list[object] = [0, UUID(int=0), None, None, None]
        ranks = self._ranks
        if after is not None:
            ranks = {rank for rank in ranks if rank >= after.priority_rank}
            behind[:2] = [after.newest_first, after.ticket_id]
            behind[2 + after.priority_rank] = after.region_weight
        return await self._fetch(MINUTE_IN_ORDER, Span(minute, minute + 1), limit, ranks, behind)

    async def _fetch(
        self,
        query: str,
        span: Span,
        limit: int,
        ranks: Collection[int] | None = None,
        further: Sequence[object] = (),
    ) -> list[BoardRow]:
        wanted = self._ranks if ranks is None else ranks
        branches: list[object] = []
        for rank, target in enumerate(self._targets):
            bounds = (clock_bound(self._at, minute, target) for minute in span)
            branches += [target * MINUTE, rank in wanted, *bounds]
        rows = await self._conn.fetch(query, *self._values, limit, self._mark, *branches, *further)
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
    ) -> BoardRow:
        minutes = minutes_left(self._at, clock_at, self._targets[rank])
        position = Position(minutes, rank, weight, newest_first, ticket_id)
        return BoardRow(position, state, clock_at, contract)


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
