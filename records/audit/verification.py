"""The re-check of everything recorded, from Postgres alone, in one snapshot and little memory."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from policy.audit.chain import ChainCheck, Event, Fault
from policy.audit.custody import check_custody
from policy.audit.shape import timeline_shape
from policy.audit.trail import Pair, Trail, check_ticket, check_transitions
from records.audit.log_checks import LOG_CHECKS, LOST_ROWS
from records.audit.rows import EVENT_COLUMNS
from runtime.postgres.pool import CONNECT_TIMEOUT_SECONDS, Connection, DatabaseError

BATCH_ROWS = 2000

SIGHT = """
    SELECT c.relname::text AS table_name FROM pg_class c, pg_roles r
     WHERE r.rolname = current_user AND c.oid = ANY ($1::regclass[])
       AND NOT (r.rolsuper
                OR pg_has_role(current_user, c.relowner, 'USAGE')
                OR r.rolbypassrls AND has_table_privilege(c.oid, 'SELECT'))
     ORDER BY c.relname
"""
REDACTION_KEY = "SELECT key FROM installation_keys WHERE name = 'redaction'"
CHECKED_TABLES = (
    "tickets",
    "audit_events",
    "ticket_state_transitions",
    "evidence_items",
    "closeout_artifacts",
    "command_log",
    "idempotency_keys",
)


class ChainSource(NamedTuple):
    """Audit events in the order of their chains, and the column that tells one from the next."""

    key: str
    statement: str


TICKET_EVENTS = f"""
    SELECT {EVENT_COLUMNS} FROM audit_events
     WHERE ticket_id IS NOT NULL AND ($1::uuid IS NULL OR ticket_id = $1)
       AND ($2::text IS NULL OR tenant_id = $2)
     ORDER BY ticket_id, seq
"""  # noqa: S608  our own columns
TENANT_EVENTS = f"""
    SELECT {EVENT_COLUMNS} FROM audit_events
     WHERE ticket_id IS NULL AND $1::uuid IS NULL AND ($2::text IS NULL OR tenant_id = $2)
     ORDER BY tenant_id, seq
"""  # noqa: S608
CHAINS = (ChainSource("tenant_id", TENANT_EVENTS),)
"""The chains of audit events that no ticket owns; a kind of subject with its own adds one."""
TICKETS = "SELECT id AS ticket_id, state::text FROM tickets WHERE id = ANY ($1)"
TRANSITIONS = """
    SELECT id, tenant_id, ticket_id, from_state::text, to_state::text, audit_event_id, created_at
      FROM ticket_state_transitions WHERE ticket_id = ANY ($1) ORDER BY ticket_id, seq
"""
EVIDENCE = "SELECT * FROM evidence_items WHERE ticket_id = ANY ($1) ORDER BY ticket_id, created_at"
ARTIFACTS = """
    SELECT * FROM closeout_artifacts
     WHERE ticket_id = ANY ($1) AND artifact_type = 'closeout_packet'
"""
COUNTS = """
    SELECT (SELECT count(*) FROM command_log
             WHERE ($1::uuid IS NULL OR ticket_id = $1) AND ($2::text IS NULL OR tenant_id = $2)),
           (SELECT count(*) FROM idempotency_keys i
             WHERE ($1::uuid IS NULL OR EXISTS (SELECT FROM command_log c
                     WHERE c.command_id = i.command_id AND c.ticket_id = $1))
               AND ($2::text IS NULL OR tenant_id = $2))
"""


class BlindRoleError(DatabaseError):
    """The login does not see the rows of every tenant, so it cannot vouch for them."""


@dataclass(frozen=True)
class Scope:
    """What to look at: one ticket, one tenant, or everything."""

    ticket: UUID | None = None
    tenant: str | None = None


class Finding(NamedTuple):
    """A fault, and the id of the row that the judgement relies on."""

    fault: Fault
    witness: str | None


@dataclass
class Verification:
    """One re-check. `rows` counts what was looked at, by table; `progress` hears of each batch.

    Two connections share one snapshot: the chains are followed on the first, row by row, while
    the second runs the cross-checks of the log.
    """

    url: str
    legal: Collection[Pair]
    scope: Scope = Scope()
    progress: Callable[["Verification"], None] = lambda _: None
    chains: Sequence[ChainSource] = CHAINS
    rows: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _named: set[str] = field(default_factory=set)
    _torn: set[str] = field(default_factory=set)
    _redaction_key: bytes | None = field(default=None, repr=False)

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield every tampered row once. Raises `BlindRoleError` where rows would be hidden."""
        began = time.monotonic()
        async with reading(self.url) as conn, reading(self.url) as second:
            await _must_see_everything(conn)
            self._redaction_key = await conn.fetchval(REDACTION_KEY)
            snapshot = await conn.fetchval("SELECT pg_export_snapshot()")
            await second.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            async for fault in self._all(conn, second):
                self.seconds = time.monotonic() - began
                if fault.row_id is None or fault.row_id not in self._named:
                    yield fault
                if fault.row_id is not None:
                    self._named.add(fault.row_id)
        self.seconds = time.monotonic() - began

    async def _all(self, conn: Connection, second: Connection) -> AsyncIterator[Fault]:
        for fault, _ in await self._findings(conn, LOST_ROWS):
            if fault.row_id is None and fault.ticket_id is not None:
                self._torn.add(fault.ticket_id)
            yield fault
        cross_check = asyncio.create_task(self._cross_check(second))
        try:
            async for fault in self._ticket_chains(conn):
                yield fault
            async for fault in self._plain_chains(conn):
                yield fault
            for fault, witness in await cross_check:
                if witness not in self._named and witness not in self._torn:
                    yield fault
                    # What the log says of this ticket is in doubt; it is no witness any more.
                    self._torn |= {fault.ticket_id} if fault.ticket_id else set()
        finally:
            cross_check.cancel()

    async def _cross_check(self, conn: Connection) -> list[Finding]:
        log, answers = await conn.fetchrow(COUNTS, self.scope.ticket, self.scope.tenant) or (0, 0)
        self.rows["command_log"], self.rows["idempotency_keys"] = log, answers
        return await self._findings(conn, LOG_CHECKS)

    async def _findings(self, conn: Connection, statements: Iterable[str]) -> list[Finding]:
        found = []
        for statement in statements:
            for row in await conn.fetch(statement, self.scope.ticket, self.scope.tenant):
                table, row_id, ticket_id, problem, witness = row
                fault = Fault(table, _text(row_id), _text(ticket_id), problem)
                found.append(Finding(fault, _text(witness)))
        return found

    async def _ticket_chains(self, conn: Connection) -> AsyncIterator[Fault]:
        trails: list[Trail] = []
        async for batch in self._events(conn, TICKET_EVENTS):
            last = trails.pop() if trails else None
            for fault in await self._check(conn, trails):
                yield fault
            trails = [last] if last else []
            for event in batch:
                ticket_id = event["ticket_id"]
                if not trails or trails[-1].ticket_id != ticket_id:
                    trails.append(Trail(ticket_id, torn=ticket_id in self._torn))
                trails[-1].add(event)
        for fault in await self._check(conn, trails):
            yield fault

    async def _check(self, conn: Connection, trails: Sequence[Trail]) -> list[Fault]:
        self.progress(self)
        ids = [UUID(trail.ticket_id) for trail in trails]
        tickets = self._grouped("tickets", await conn.fetch(TICKETS, ids))
        transitions = self._grouped("ticket_state_transitions", await conn.fetch(TRANSITIONS, ids))
        evidence = self._grouped("evidence_items", await conn.fetch(EVIDENCE, ids))
        packets = self._grouped("closeout_artifacts", await conn.fetch(ARTIFACTS, ids))
        found: list[Fault] = []
        for trail in trails:
            mine = trail.ticket_id
            found += trail.faults
            steps = [row for row in transitions.get(mine, []) if str(row["id"]) not in self._named]
            found += check_transitions(trail, steps, self.legal)
            found += check_custody(
                trail, evidence.get(mine, []), _only(packets.get(mine)), self._redaction_key
            )
            found += check_ticket(trail, _only(tickets.get(mine)))
            if trail.is_torn:
                self._torn.add(mine)
        return found

    async def _plain_chains(self, conn: Connection) -> AsyncIterator[Fault]:
        for source in self.chains:
            owner, chain = None, ChainCheck()
            async for batch in self._events(conn, source.statement):
                for event in batch:
                    if event[source.key] != owner:
                        owner, chain = event[source.key], ChainCheck()
                    for fault in chain.add(event):
                        yield fault

    async def _events(self, conn: Connection, statement: str) -> AsyncIterator[list[Event]]:
        cursor = await conn.cursor(statement, self.scope.ticket, self.scope.tenant)
        while rows := await cursor.fetch(BATCH_ROWS):
            self.rows["audit_events"] += len(rows)
            yield [timeline_shape(row) | {"hash": row["hash"]} for row in map(dict, rows)]

    def _grouped(
        self, table: str, rows: Sequence[asyncpg.Record]
    ) -> dict[str, list[dict[str, Any]]]:
        self.rows[table] += len(rows)
        grouped: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            grouped.setdefault(str(row["ticket_id"]), []).append(dict(row))
        return grouped


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Connection]:
    """Open a read-only snapshot in the role of the login; jsonb values are Python objects."""
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        await conn.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text"
        )
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            yield conn
    finally:
        await conn.close()


async def _must_see_everything(conn: Connection) -> None:
    hidden = await conn.fetch(SIGHT, list(CHECKED_TABLES))
    if hidden:
        names = ", ".join(row["table_name"] for row in hidden)
        raise BlindRoleError(
            f"this login does not see every row of {names}: use the owner's,"
            " or a role with BYPASSRLS and SELECT"
        )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _only(rows: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return rows[0] if rows else None
