"""`make timers`: tickets whose deadlines fall into the same minute, and how late they are raised.

The tickets are inserted by SQL, with a visit so that the SLA warning of each is due at an instant
of its own, all spread evenly over the minute. Each gets its workflow, which looks at it and arms
its timer. Then nothing is sent any more: the timers ring. Measured is, for every ticket, from the
instant of its deadline to the time of the transaction that wrote its escalation. Each must be
raised exactly once. What the late timer of another ticket caught up with, and what the sweep found,
is counted apart.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.load import Round
from bench.machine import BENCH_DIR, Machine, on_a_machine, progress
from bench.report import Line, conclude
from contracts.command import CLOCK_CHANGED
from contracts.ticket import WORKFLOW_TYPE, TicketStart
from policy.command.message import Subject
from policy.model import Priority
from policy.rules.bundle import load_bundle
from runtime.postgres.pool import Connection as DatabaseConnection
from runtime.temporal.client import connect_temporal

FIGURES = BENCH_DIR / "timers.json"
FEW, LIMIT_OF_FEW_MS, LIMIT_MS = 1000, 1000, 5000
LANES = 32
TENANT = "default"
MINUTE = timedelta(minutes=1)
STARTS_PER_SECOND = 35  # on two processors
SETTLE = timedelta(seconds=20)
PATIENCE = timedelta(minutes=5)
TICKETS = """
INSERT INTO tickets (account_id, site_id, state, priority, summary, scheduled_start, scheduled_end)
SELECT $1, $2, 'TRIAGED', 'EMERGENCY', 'Door ' || n, start, start + interval '2 hours'
  FROM generate_series(0, $4::int - 1) n,
       LATERAL (SELECT $3::timestamptz + n * interval '1 minute' / $4::int AS start) visit
RETURNING id
"""
ARMED = "SELECT count(*) FROM ticket_deadlines WHERE due_at >= $1 AND due_at < $2"
RAISED = "SELECT count(*) FROM ticket_escalations WHERE due_at >= $1 AND due_at < $2"
ROWS = """
SELECT ticket_id, details->>'detector' AS detector,
       extract(epoch FROM raised_at - due_at)::float8 * 1000 AS late_ms
  FROM ticket_escalations WHERE due_at >= $1 AND due_at < $2
"""


@dataclass(frozen=True)
class Fired:
    """What became of the deadlines."""

    tickets: int
    rows: int
    escalated_tickets: int
    caught_up: int
    """How many were raised by the late timer of another ticket."""
    by_sweep: int
    lateness: Round
    cpu_ms: Mapping[str, float]
    """Processor time of each part for one deadline."""

    def budget(self) -> Iterator[Line]:
        """Yield what must hold."""
        limit = LIMIT_OF_FEW_MS if self.tickets <= FEW else LIMIT_MS
        yield Line("tickets escalated", self.escalated_tickets, self.tickets, at_least=True)
        yield Line("escalations", self.rows, self.tickets, at_least=False)
        p99 = self.lateness.percentile(99)
        yield Line("lateness, p99, ms", p99, limit, at_least=False)

    def table(self) -> Table:
        """Return the figures as a table."""
        found = Table(title=f"{self.tickets:,} deadlines in one minute; lateness in ms")
        for name in ("raised", "tickets", "caught up", "by the sweep", "p50", "p99", "max"):
            found.add_column(name, justify="right")
        late = (f"{self.lateness.percentile(percent):.0f}" for percent in (50, 99, 100))
        counts = (self.rows, self.escalated_tickets, self.caught_up, self.by_sweep)
        found.add_row(*(f"{each:,}" for each in counts), *late)
        return found

    def costs(self) -> str:
        """Return what one deadline takes of the processors, in words."""
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self.cpu_ms.items())
        return (
            f"processor time for one deadline, ms: {parts}; in all {sum(self.cpu_ms.values()):.1f}"
        )


async def open_tickets(
    machine: Machine, owner: DatabaseConnection, minute: datetime, count: int
) -> None:
    """Insert as many tickets, each with a deadline of its own within the minute; start them."""
    sla = load_bundle().sla
    ahead = (sla.target_minutes[Priority.EMERGENCY] - sla.warning_minutes - 1) * MINUTE
    place = (UUID(machine.place.account_id), UUID(machine.place.site_id))
    tickets = iter([row["id"] for row in await owner.fetch(TICKETS, *place, minute - ahead, count)])
    chosen = machine.settings
    client = await connect_temporal(chosen)

    async def lane() -> None:
        for ticket_id in tickets:
            await client.start_workflow(
                WORKFLOW_TYPE,
                TicketStart(tenant_id=TENANT, ticket_id=ticket_id),
                id=Subject.of_ticket(TENANT, ticket_id).workflow_id,
                task_queue=chosen.temporal_task_queue,
                start_signal=CLOCK_CHANGED,
            )

    await asyncio.gather(*(lane() for _ in range(LANES)))
    await reached(owner, ARMED, minute, count, until=minute)


async def reached(
    owner: DatabaseConnection, question: str, minute: datetime, count: int, *, until: datetime
) -> None:
    """Wait for as many rows, but not longer than until then."""
    while datetime.now(UTC) < until:
        if await owner.fetchval(question, minute, minute + MINUTE) >= count:
            return
        await asyncio.sleep(1)


async def measure(machine: Machine, count: int) -> Fired:
    """Open the tickets, wait for their minute, and look at what was raised."""
    setup = timedelta(seconds=count / STARTS_PER_SECOND) + SETTLE
    minute = (datetime.now(UTC) + setup).replace(second=0, microsecond=0) + MINUTE
    owner = await asyncpg.connect(machine.owner_url)
    try:
        progress(f"opening {count:,} tickets that are due from {minute:%H:%M} on")
        await open_tickets(machine, owner, minute, count)
        left = (minute - datetime.now(UTC)).total_seconds()
        progress(f"all timers are armed; {left:.0f} s to go")
        if left <= 0:
            raise TimeoutError("this machine is too slow to open so many tickets in time")
        before = machine.cpu_seconds()
        await reached(owner, RAISED, minute, count, until=minute + PATIENCE)
        used = machine.cpu_seconds()
        await asyncio.sleep(SETTLE.total_seconds())  # whatever would be raised twice
        rows = await owner.fetch(ROWS, minute, minute + MINUTE)
    finally:
        await owner.close()
    if not rows:
        raise TimeoutError("no deadline was escalated")
    late = tuple(float(row["late_ms"]) for row in rows)
    return Fired(
        tickets=count,
        rows=len(rows),
        escalated_tickets=len({row["ticket_id"] for row in rows}),
        caught_up=sum(row["detector"] == "catch_up" for row in rows),
        by_sweep=sum(row["detector"] == "sweep" for row in rows),
        lateness=Round(MINUTE.total_seconds(), late),
        cpu_ms={name: (used[name] - before[name]) / count * 1000 for name in before},
    )


def main(arguments: Sequence[str]) -> int:
    """Run it; exit code 1 if a deadline was missed, raised twice, or too late."""
    parser = argparse.ArgumentParser(prog="python -m bench.timers", description="Measure timers.")
    parser.add_argument("tickets", type=int, nargs="?", default=10_000)
    count = parser.parse_args(arguments).tickets
    fired = on_a_machine(lambda _: [], lambda machine: measure(machine, count))
    Console().print(fired.table(), fired.costs())
    figures = {
        "tickets": fired.tickets,
        "raised": fired.rows,
        "caught_up": fired.caught_up,
        "by_sweep": fired.by_sweep,
        **{f"p{p}_ms": round(fired.lateness.percentile(p), 1) for p in (50, 99, 100)},
    }
    return conclude(FIGURES, figures, list(fired.budget()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
