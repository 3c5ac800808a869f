"""What is asked of many tickets is answered by index: it costs what is shown, not what there is."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from activities.ticket.statements import ENGAGEMENTS
from api.cockpit.board import Board, BoardFilter
from bench.crowd import INCIDENTS, seed_crowd
from policy.deadlines.sla import SlaStatus
from policy.model import Priority, State
from policy.reads.cockpit import spans_of
from policy.rules.bundle import OPEN_STATES, load_bundle
from runtime.postgres.pool import Connection, Pool

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

BUNDLE = load_bundle()
TICKETS = 12_000
LIMIT = 50
READ_AT_MOST = TICKETS // 10
"""Rows that may be read for a page: four for each shown, or more where the planner errs."""
PAGES = 3
BY_INDEX = {"Index Scan", "Index Only Scan"}


class Explaining:
    """A connection that explains each query of the queue while it answers it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.plans: list[dict[str, Any]] = []

    async def execute(self, query: str) -> object:
        """Run a statement."""
        return await self._conn.execute(query)

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Keep the plan of a query, and answer it."""
        explained = await self._conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *values)
        self.plans.append(explained[0]["Plan"])
        return await self._conn.fetch(query, *values)


def scans_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan that read a table."""
    if "Relation Name" in plan and plan["Actual Loops"]:
        yield plan
    for child in plan.get("Plans", ()):
        yield from scans_of(child)


def rows_read(scan: dict[str, Any]) -> float:
    """Return how many rows a scan has looked at, those it dropped included."""
    seen = float(scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0))
    return seen * float(scan["Actual Loops"])


@pytest.fixture
async def crowd(owner: Connection) -> Connection:
    await seed_crowd(owner, TICKETS, 40)
    return owner


@pytest.fixture
async def reader(crowd: Connection, pool: Pool) -> AsyncIterator[Explaining]:
    """Read as the application does, under row-level security."""
    assert await crowd.fetchval("SELECT count(*) FROM ticket_queue WHERE is_open") == TICKETS
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        yield Explaining(conn)


async def filters(owner: Connection) -> dict[str, BoardFilter]:
    """Return one filter of each kind, and the open queue."""
    base = BoardFilter(OPEN_STATES, (), None, None, (), ())
    ticket = await owner.fetchrow(
        "SELECT account_id, site_id, assigned_tech_id FROM tickets"
        " WHERE assigned_tech_id IS NOT NULL AND state NOT IN ('CLOSED', 'CANCELLED') LIMIT 1"
    )
    assert ticket is not None
    account, site, technician = cast("Sequence[UUID]", tuple(ticket))
    return {
        "everything": base,
        "a state": BoardFilter((State.SCHEDULED,), (), None, None, (), ()),
        "a priority": BoardFilter(OPEN_STATES, (Priority.URGENT,), None, None, (), ()),
        "an account": BoardFilter(OPEN_STATES, (), (account,), None, (), ()),
        "a site": BoardFilter(OPEN_STATES, (), None, (site,), (), ()),
        "a technician": BoardFilter(OPEN_STATES, (), None, None, (technician,), ()),
        "an incident type": BoardFilter(OPEN_STATES, (), None, None, (), INCIDENTS[:1]),
        "states of which one priority has none": BoardFilter(
            (State.NEW, State.TRIAGED), (), None, None, (), INCIDENTS[:2]
        ),
    }


@pytest.mark.parametrize("statuses", [(), (SlaStatus.WARNING,), (SlaStatus.HEALTHY,)])
async def test_any_filter_and_any_page_is_read_by_index(
    crowd: Connection, reader: Explaining, statuses: tuple[SlaStatus, ...]
) -> None:
    at = await crowd.fetchval("SELECT date_trunc('milliseconds', now())")
    for name, wanted in (await filters(crowd)).items():
        board = Board(cast("Connection", reader), BUNDLE, wanted, at)
        after = None
        for number in range(PAGES):
            reader.plans.clear()
            rows = await board.page(spans_of(BUNDLE, statuses), after, LIMIT)
            scans = [node for plan in reader.plans for node in scans_of(plan)]
            assert {scan["Node Type"] for scan in scans} <= BY_INDEX, (name, number, scans)
            read = sum(map(rows_read, scans))
            assert read <= READ_AT_MOST, (name, number, read)
            if len(rows) < LIMIT:
                break
            after = rows[-1].position


async def test_what_technicians_do_is_read_for_those_asked_after_and_by_index_alone(
    crowd: Connection, reader: Explaining
) -> None:
    start = await crowd.fetchval("SELECT now()")
    asked = await crowd.fetch("SELECT id FROM technicians ORDER BY id LIMIT 4")
    ids = [row["id"] for row in asked]
    found = await reader.fetch(ENGAGEMENTS, ids, UUID(int=1), start, start + timedelta(hours=2))
    assert {row["id"] for row in found} == set(ids)
    (scan,) = [scan for scan in scans_of(reader.plans[0]) if scan["Relation Name"] == "tickets"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Only Scan", "idx_tickets_load")
    assert rows_read(scan) == sum(row["active_load"] for row in found)
