"""The part of the queue whose clocks stand, or have not been judged since something changed.

A clock that stands has the same minutes left whatever the time, so these rows are read in order. A
row that nobody judged is judged here, as the worker will do when it comes to it.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from policy.clock.ticket_clock import clock_of, read_clock
from policy.deadlines.sla import MOST_MINUTES, BoardPlace, board_place, rules_mark
from policy.model import Ticket
from policy.reads.cockpit import PRIORITIES, BoardRow, Position, Span
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection

_ONE_OR_MORE = """
        AND (${place}::{type}[] IS NULL
             OR CASE WHEN cardinality(${place}::{type}[]) = 1
                     THEN {column} = (${place}::{type}[])[1] ELSE {column} = ANY (${place}) END)
"""
FILTERS = "AND ($1::bool IS NULL OR is_open = $1)" + "".join(
    # Equal to one value, an index yields the rows in order; equal to any of several, it does not.
    _ONE_OR_MORE.format(place=place, column=column, type=kind)
    for place, (column, kind) in enumerate(
        (
            ("state", "text"),
            ("account_id", "uuid"),
            ("site_id", "uuid"),
            ("assigned_tech_id", "uuid"),
            ("incident_type", "text"),
        ),
        start=2,
    )
)
_RANK = "CASE priority WHEN 'EMERGENCY' THEN 0 WHEN 'URGENT' THEN 1 ELSE 2 END"
_PAUSED = """
SELECT minutes, rank, region_weight, newest_first, ticket_id, state, clock_at, contract, stands_at
  FROM (SELECT *, {minutes} AS minutes, {rank} AS rank FROM ticket_queue) q
 WHERE {condition} AND is_open AND judged_by = $10 AND priority = ANY ($8)
   AND ($11::bigint IS NULL OR minutes >= $11)
   AND ($12::bigint IS NULL OR minutes < $12)
   AND ($13::bigint IS NULL OR minutes >= $13
        AND (minutes, rank, region_weight, newest_first, ticket_id)
            > ($13, $14::int, $15::int, $16::bigint, $17::uuid))
   {filters}
 ORDER BY minutes, rank, region_weight, newest_first, ticket_id LIMIT $7
"""
STANDING = _PAUSED.format(
    minutes="minutes_left", rank=_RANK, condition="stands_at <= $9", filters=FILTERS
)
# A clock that stands from later on, as that of a visit to come whose customer is waited for.
YET_TO_STAND = _PAUSED.format(
    minutes=f"""least({MOST_MINUTES}, floor(extract(epoch FROM clock_at - $9) / 60)
                     + ($18::int[])[1 + {_RANK}])::int""",
    rank=_RANK,
    condition="stands_at > $9",
    filters=FILTERS,
)
_UNJUDGED = """
SELECT ticket_id, region_weight, newest_first, contract FROM ticket_queue
 WHERE contract IS NOT NULL AND {condition} AND priority = ANY ($7) {filters}
"""
UNJUDGED = " UNION ALL ".join(
    _UNJUDGED.format(condition=condition, filters=FILTERS)
    for condition in (
        "judged_by IS NULL",
        "is_open AND judged_by < $8",
        "is_open AND judged_by > $8",
    )
)
TICKETS = """
SELECT t.*, sla_facts(t.id, t.account_id, t.site_id) AS clock FROM tickets t WHERE id = ANY ($1)
"""


class Clocks:
    """The clocks of one instant that cannot be read from the order in which they run out."""

    def __init__(self, conn: Connection, bundle: Bundle, at: datetime) -> None:
        self._conn = conn
        self._bundle = bundle
        self._at = at
        self._mark = rules_mark(bundle)

    async def standing(
        self, wanted: Sequence[object], spans: Sequence[Span], after: Position | None
    ) -> list[BoardRow]:
        """Return the first rows whose clock stands now, and the first of those yet to stand.

        `wanted` are filters, limit and priorities.
        """
        behind = (None,) * len(Position._fields) if after is None else after
        targets = [self._bundle.sla.target_minutes[priority] for priority in PRIORITIES]
        rows: list[BoardRow] = []
        for span in spans:
            values = (*wanted, self._at, self._mark, *span, *behind)
            found = await self._conn.fetch(STANDING, *values)
            found += await self._conn.fetch(YET_TO_STAND, *values, targets)
            rows += [BoardRow(Position(*row[:5]), *row[5:]) for row in map(tuple, found)]
        return rows

    async def unjudged(
        self, wanted: Sequence[object], spans: Sequence[Span], after: Position | None
    ) -> list[BoardRow]:
        """Return all rows that must be judged now, as far as they are wanted."""
        *filters, _, priorities = wanted
        found = await self._conn.fetch(UNJUDGED, *filters, priorities, self._mark)
        if not found:
            return []
        queued = {row["ticket_id"]: row for row in found}
        rows = []
        for record in await self._conn.fetch(TICKETS, list(queued)):
            ticket = Ticket(**{name: record[name] for name in Ticket.model_fields})
            clock = clock_of(self._bundle.sla, ticket, read_clock(record["clock"]))
            place = board_place(self._bundle, clock, ticket)
            row = self._judged(ticket, place, queued[ticket.id])
            # The status is that of the clock with the window, whatever gives the place.
            minute = self._left(ticket, place._replace(promise_at=None))
            inside = any(span.holds(minute) for span in spans)
            if inside and (after is None or row.position > after):
                rows.append(row)
        return rows

    def _left(self, ticket: Ticket, place: BoardPlace) -> int:
        return place.left_at(self._at, self._bundle.sla.target_minutes[ticket.priority])

    def _judged(self, ticket: Ticket, place: BoardPlace, queued: asyncpg.Record) -> BoardRow:
        position = Position(
            self._left(ticket, place),
            PRIORITIES.index(ticket.priority),
            queued["region_weight"],
            queued["newest_first"],
            ticket.id,
        )
        state, contract = ticket.state.value, queued["contract"]
        return BoardRow(
            position, state, place.clock_at, contract, place.stands_at, place.promise_at
        )
