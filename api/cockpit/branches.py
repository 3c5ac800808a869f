"""The queries of the queue: its first rows by one clock, each priority by an index of its own."""

from dataclasses import dataclass
from functools import cached_property

from api.cockpit.standing_clocks import FILTERS
from policy.reads.cockpit import PRIORITIES

# Not the deadline, by which rows are ordered: it may lie beyond the last year that is answered.
_COLUMNS = "rank, ticket_id, state, clock_at, region_weight, newest_first, contract, promise_at"
_BRANCH = """
    (SELECT {rank} AS rank, {clock} + ${target}::interval AS deadline, ticket_id, state, clock_at,
            region_weight, newest_first, contract, {promise} AS promise_at
       FROM ticket_queue
      WHERE priority = '{priority}' AND ${wanted}::bool
        AND stands_at IS NULL
        AND (contract IS NULL OR judged_by = $8 OR judged_by IS NOT NULL AND NOT is_open)
        AND (${since}::timestamptz IS NULL OR {clock} >= ${since})
        AND (${until}::timestamptz IS NULL OR {clock} < ${until})
        AND {part}
        {filters} {further}
      ORDER BY {order} LIMIT $7)
"""
# The window begins after the promise has run out.
_PUT_OFF = """(is_open AND promise_at IS NOT NULL
             AND (contract IS NOT NULL OR clock_at > promise_at + ${target}::interval))"""
_BEHIND = """
        AND (${weight}::int IS NULL
             OR (region_weight, newest_first, ticket_id) > (${weight}, ${newest}, ${ticket}))
"""
_FIRST_OF_BRANCH = 9


@dataclass(frozen=True)
class Part:
    """A part of the queue that is in order by one clock, and what it asks of a branch.

    `extra` parameters of a branch come after its target, whether it is wanted, and its bounds.
    """

    clock: str
    promise: str
    condition: str
    extra: int

    def query(self, order: str, whole_order: str, further: str = "") -> str:
        """Return the first $7 rows of all priorities, each found by an index of its own."""
        width = 4 + self.extra
        behind = _FIRST_OF_BRANCH + width * len(PRIORITIES)
        branches = []
        for rank, priority in enumerate(PRIORITIES):
            place = _FIRST_OF_BRANCH + width * rank
            more = {
                "newest": behind,
                "ticket": behind + 1,
                "weight": behind + 2 + rank,
                "target": place,
                "one": place + 4,
                "two": place + 5,
            }
            branches.append(
                _BRANCH.format(
                    rank=rank,
                    clock=self.clock,
                    promise=self.promise,
                    priority=priority.value,
                    target=place,
                    wanted=place + 1,
                    since=place + 2,
                    until=place + 3,
                    part=self.condition.format(**more),
                    filters=FILTERS,
                    further=further.format(**more),
                    order=order.format(clock=self.clock),
                )
            )
        rows = " UNION ALL ".join(branches)
        return f"SELECT {_COLUMNS} FROM ({rows}) q ORDER BY {whole_order} LIMIT $7"  # noqa: S608

    @cached_property
    def earliest(self) -> str:
        """The rows whose clock runs out first."""
        return self.query("{clock}", "deadline")

    @cached_property
    def minute_in_order(self) -> str:
        """The rows of one minute in order, behind a place."""
        order = "region_weight, newest_first, ticket_id"
        return self.query(order, f"rank, {order}", _BEHIND)


# Tickets whose clock counts as contract 5.3 has it; $one: whether the priority is kept to promises.
AS_SCHEDULED = Part(
    clock="clock_at",
    promise="NULL::timestamptz",
    condition=f"NOT (${{one}}::bool AND {_PUT_OFF})",
    extra=1,
)
# Tickets whose window begins too late for what was promised. Of them a filter by status, which is
# that of the clock with the window, is no span of the order: $one and $two are its bounds.
AS_PROMISED = Part(
    clock="promise_at",
    promise="promise_at",
    condition=f"""{_PUT_OFF}
        AND EXISTS (SELECT FROM unnest(${{one}}::timestamptz[], ${{two}}::timestamptz[]) s (a, b)
                     WHERE (a IS NULL OR clock_at >= a) AND (b IS NULL OR clock_at < b))""",
    extra=2,
)
