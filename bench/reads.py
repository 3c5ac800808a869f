"""`make bench-reads`: the dispatcher's reads over HTTP on a large company's data.

100,000 open tickets at 2,000 sites, 2,000 technicians. One client asks for one thing after the
other over a keep-alive connection: the first page of the queue, any page behind it, any filter,
a technician's job packet with a full timeline, and a recommendation over all technicians (a
command, through the engine). Each line has a limit for its 99th percentile; exit code 1 if one is
missed.
"""

import argparse
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from bench.crowd import INCIDENTS, seed_crowd
from bench.lifecycle import Caller, Step, evidence, opening_steps, tokens
from bench.load import Round
from bench.machine import Machine, on_a_machine, progress
from bench.wire import Connection
from policy.deadlines.sla import SlaStatus
from policy.model import Priority, Role, State
from runtime.postgres.pool import Connection as DatabaseConnection

T = TypeVar("T")
TICKETS, TECHNICIANS = 100_000, 2_000
COCKPIT = "/ux/dispatcher/cockpit"
PICK = """
SELECT account_id::text, site_id::text, assigned_tech_id::text FROM tickets
 WHERE assigned_tech_id IS NOT NULL ORDER BY id LIMIT 200
"""
SCHEDULED = """
SELECT id::text FROM tickets WHERE state = 'SCHEDULED' AND scheduled_start IS NOT NULL LIMIT 500
"""


@dataclass(frozen=True)
class Measured:
    """One kind of question: its latencies, and what the 99th percentile may be."""

    name: str
    round: Round
    limit_ms: float

    @property
    def met(self) -> bool:
        """Whether the 99th percentile stays within the limit."""
        return self.round.percentile(99) <= self.limit_ms


class Reader:
    """Asks one question after the other over one connection."""

    def __init__(self, connection: Connection, machine: Machine, times: int) -> None:
        self._connection = connection
        self._tokens = tokens(machine.secret)
        self._times = times

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the answer to a read."""
        headers = {"Authorization": f"Bearer {self._tokens[Role.DISPATCHER]}"}
        whole = f"{path}?{urlencode(query)}" if query else path
        reply = await self._connection.get(whole, headers)
        if reply.status != 200:  # noqa: PLR2004  OK
            raise RuntimeError(f"{whole}: {reply.status} {reply.body.decode()}")
        return reply.body

    async def measure(
        self,
        name: str,
        limit_ms: float,
        ask: Callable[[], Awaitable[T]],
        learn: Callable[[T], object] = id,
    ) -> Measured:
        """Ask as often as wanted, and return how long answers took; `learn` is not measured."""
        latencies: list[float] = []
        began = time.perf_counter()
        for _ in range(self._times):
            started = time.perf_counter()
            answer = await ask()
            latencies.append((time.perf_counter() - started) * 1000)
            learn(answer)
        found = Measured(name, Round(time.perf_counter() - began, tuple(latencies)), limit_ms)
        progress(f"{name}: p99 {found.round.percentile(99):.1f} ms")
        return found


class Pages:
    """Walks through the queue page by page, under one filter after the other."""

    def __init__(self, reader: Reader, filters: Sequence[Sequence[tuple[str, str]]]) -> None:
        self._reader = reader
        self._filters = filters
        self._turn = 0
        self._cursor: str | None = None

    async def next(self) -> bytes:
        """Read the next page; at the end, or after ten, begin with the next filter."""
        query = list(self._filters[self._turn // 10 % len(self._filters)])
        if self._cursor is not None:
            query.append(("cursor", self._cursor))
        return await self._reader.get(COCKPIT, query)

    def learn(self, body: bytes) -> None:
        """Take over from a page where the next one begins."""
        self._turn += 1
        self._cursor = orjson.loads(body)["next_cursor"] if self._turn % 10 else None


async def filters_of(conn: DatabaseConnection) -> list[list[tuple[str, str]]]:
    """Return filters of every kind, and mixed ones."""
    chance = random.Random(1)  # noqa: S311  not a secret
    picked = [tuple(row) for row in await conn.fetch(PICK)]
    found: list[list[tuple[str, str]]] = [[]]
    found += [[("state", state.value)] for state in State if state not in {"CLOSED", "CANCELLED"}]
    found += [[("sla_status", status.value)] for status in SlaStatus]
    found += [[("priority", priority.value)] for priority in Priority]
    found += [[("incident_type", name)] for name in INCIDENTS]
    for account, site, technician in chance.sample(picked, 5):
        found += [
            [("account_id", account)],
            [("site_id", site)],
            [("assigned_tech_id", technician)],
        ]
    found += [
        [("state", "SCHEDULED,DISPATCHED"), ("priority", "URGENT"), ("sla_status", "breach")],
        [("account_id", picked[0][0]), ("sla_status", "healthy"), ("incident_type", INCIDENTS[1])],
        [("incident_type", ",".join(INCIDENTS[:2])), ("state", "NEW,TRIAGED")],
    ]
    chance.shuffle(found)
    return found


async def measure(machine: Machine, times: int) -> list[Measured]:
    """Seed the crowd and ask everything."""
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(machine.owner_url)
        stack.push_async_callback(owner.close)
        progress(f"making {TICKETS:,} tickets and {TECHNICIANS:,} technicians")
        await seed_crowd(owner, TICKETS, TECHNICIANS)
        connection = await Connection.open(machine.env["DISPATCH_API_URL"], stack)
        reader = Reader(connection, machine, times)
        caller = Caller(connection, tokens(machine.secret), machine.place)
        pages = Pages(reader, await filters_of(owner))
        packet = f"/ux/technician/job-packet/{await _worked_on(caller, machine)}"
        scheduled = iter([row["id"] for row in await owner.fetch(SCHEDULED)])

        async def recommend() -> None:
            path = f"/tickets/{next(scheduled)}/assignment/recommend"
            body = {"service_type": "DEFAULT", "recommendation_limit": 5}
            await caller.send(Step(Role.DISPATCHER, path, body, status=201), str(uuid4()))

        for _ in range(20):  # plans are cached and processes warm
            pages.learn(await pages.next())
            await reader.get(packet)
        return [
            await reader.measure("cockpit, first page", 50, lambda: reader.get(COCKPIT)),
            await reader.measure("cockpit, any filter and page", 50, pages.next, pages.learn),
            await reader.measure("job packet", 30, lambda: reader.get(packet)),
            await reader.measure("recommend, 2,000 technicians", 100, recommend),
        ]


async def _worked_on(caller: Caller, machine: Machine) -> str:
    """Return a ticket that a technician works on, with evidence and a timeline."""
    ticket_id = await caller.create()
    for step in opening_steps(ticket_id, machine.place):
        await caller.send(step, str(uuid4()))
    for number in range(12):
        await caller.send(evidence(ticket_id, f"photo_{number}"), str(uuid4()))
    return ticket_id


def table(lines: Sequence[Measured]) -> Table:
    """Return what was measured as a table."""
    found = Table(title=f"{TICKETS:,} open tickets, {TECHNICIANS:,} technicians; one client; ms")
    for name in ("question", "times", "p50", "p95", "p99", "limit", "verdict"):
        found.add_column(name, justify="left" if name == "question" else "right")
    for line in lines:
        latencies = (f"{line.round.percentile(p):.1f}" for p in (50, 95, 99))
        verdict = "[green]PASS[/green]" if line.met else "[red]FAIL[/red]"
        times = str(len(line.round.latencies_ms))
        found.add_row(line.name, times, *latencies, f"<= {line.limit_ms:g}", verdict)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; exit code 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.reads", description="Measure reads.")
    parser.add_argument("--times", type=int, default=300, help="how often each question is asked")
    times = parser.parse_args(arguments).times
    lines = on_a_machine(lambda _: [], lambda machine: measure(machine, times))
    Console(width=110).print(table(lines))
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
