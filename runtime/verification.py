"""The re-check of everything recorded, from Postgres alone, in one snapshot and little memory."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from policy.audit_chain import ChainCheck, Fault
from policy.audit_trail import Pair, Trail, check_ticket, check_transitions
from policy.custody import check_evidence, check_packet
from policy.packet import ARTIFACT_TYPE
from policy.shapes import timeline_shape
from runtime.database import CONNECT_TIMEOUT_SECONDS, Connection, DatabaseError
from runtime.log_checks import ANSWER_CHECKS, LOG_CHECKS, LOST_ROWS

BATCH_ROWS = 2000

SIGHT = """
    SELECT c.relname::text AS table_name FROM pg_class c, pg_roles r
     WHERE r.rolname = current_user AND c.oid = ANY ($1::regclass[])
       AND NOT (r.rolsuper
                OR pg_has_role(current_user, c.relowner, 'USAGE')
                OR r.rolbypassrls AND has_table_privilege(c.oid, 'SELECT'))
     ORDER BY c.relname
"""
CHECKED_TABLES = (
    "tickets",
    "audit_events",
    "ticket_state_transitions",
    "evidence_items",
    "closeout_artifacts",
    "command_log",
    "idempotency_keys",
)
_EVENT_COLUMNS = """
    id, ticket_id, actor_type::text, actor_id, actor_role, tool_name, request_id, correlation_id,
    trace_id, before_state::text, after_state::text, payload, created_at, tenant_id, command_id,
    seq, policy_bundle_sha256, prev_hash, hash
"""
TICKET_EVENTS = f"""
    SELECT {_EVENT_COLUMNS} FROM audit_events
     WHERE ticket_id IS NOT NULL AND ($1::uuid IS NULL OR ticket_id = $1)
       AND ($2::text IS NULL OR tenant_id = $2)
     ORDER BY ticket_id, seq
"""  # noqa: S608  our own columns
TENANT_EVENTS = f"""
    SELECT {_EVENT_COLUMNS} FROM audit_events
     WHERE ticket_id IS NULL AND $1::uuid IS NULL AND ($2::text IS NULL OR tenant_id = $2)
     ORDER BY tenant_id, seq
"""  # noqa: S608
TICKETS = "SELECT id, state::text FROM tickets WHERE id = ANY ($1)"
TRANSITIONS = """
    SELECT id, tenant_id, ticket_id, from_state::text, to_state::text, audit_event_id, created_at
      FROM ticket_state_transitions WHERE ticket_id = ANY ($1) ORDER BY ticket_id, seq
"""
EVIDENCE = "SELECT * FROM evidence_items WHERE ticket_id = ANY ($1) ORDER BY ticket_id, created_at"
ARTIFACTS = "SELECT * FROM closeout_artifacts WHERE ticket_id = ANY ($1) AND artifact_type = $2"
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


@dataclass
class Verification:
    """One re-check. `rows` counts what was looked at, by table; `progress` hears of each batch."""

    conn: Connection
    legal: Collection[Pair]
    scope: Scope = Scope()
    progress: Callable[["Verification"], None] = lambda _: None
    rows: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _named: set[tuple[str, str]] = field(default_factory=set)
    _suspects: set[str] = field(default_factory=set)
    _torn: set[str] = field(default_factory=set)

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield every tampered row once. Raises `BlindRoleError` where rows would be hidden."""
        began = time.monotonic()
        async with self.conn.transaction(isolation="repeatable_read", readonly=True):
            await self._must_see_everything()
            async for fault in self._all():
                if fault.row_id is None or (fault.table, fault.row_id) not in self._named:
                    yield fault
                if fault.row_id is not None:
                    self._named.add((fault.table, fault.row_id))
                self.seconds = time.monotonic() - began
        self.seconds = time.monotonic() - began

    async def _all(self) -> AsyncIterator[Fault]:
        for statement in LOST_ROWS:
            async for fault in self._query(statement):
                self._torn |= {fault.ticket_id} if fault.ticket_id else set()
                yield fault
        async for fault in self._ticket_chains():
            yield fault
        async for fault in self._tenant_chains():
            yield fault
        for statement in LOG_CHECKS:
            async for fault in self._query(statement):
                self._suspects |= {fault.row_id} if fault.row_id else set()
                yield fault
        for statement in ANSWER_CHECKS:
            async for fault in self._query(statement):
                yield fault
        counts = await self.conn.fetchrow(COUNTS, self.scope.ticket, self.scope.tenant)
        self.rows["command_log"], self.rows["idempotency_keys"] = counts or (0, 0)

    async def _must_see_everything(self) -> None:
        hidden = await self.conn.fetch(SIGHT, list(CHECKED_TABLES))
        if hidden:
            names = ", ".join(row["table_name"] for row in hidden)
            raise BlindRoleError(
                f"this login does not see every row of {names}: use the owner's,"
                " or a role with BYPASSRLS and SELECT"
            )

    async def _ticket_chains(self) -> AsyncIterator[Fault]:
        trails: list[Trail] = []
        async for event in self._events(TICKET_EVENTS):
            ticket_id = event["ticket_id"]
            if not trails or trails[-1].ticket_id != ticket_id:
                if sum(trail.length for trail in trails) >= BATCH_ROWS:
                    for fault in await self._check(trails):
                        yield fault
                    trails = []
                trails.append(Trail(ticket_id, torn=ticket_id in self._torn))
            trails[-1].add(event)
        for fault in await self._check(trails):
            yield fault

    async def _check(self, trails: Sequence[Trail]) -> list[Fault]:
        ids = [UUID(trail.ticket_id) for trail in trails]
        tickets = {str(row["id"]): dict(row) for row in await self.conn.fetch(TICKETS, ids)}
        transitions = _by_ticket(await self.conn.fetch(TRANSITIONS, ids))
        evidence = _by_ticket(await self.conn.fetch(EVIDENCE, ids))
        packets = _by_ticket(await self.conn.fetch(ARTIFACTS, ids, ARTIFACT_TYPE))
        self._count(tickets=tickets, ticket_state_transitions=transitions)
        self._count(evidence_items=evidence, closeout_artifacts=packets)
        found: list[Fault] = []
        for trail in trails:
            mine = trail.ticket_id
            found += trail.faults
            found += check_transitions(trail, transitions.get(mine, []), self.legal)
            found += check_evidence(trail, evidence.get(mine, []))
            found += check_packet(trail, next(iter(packets.get(mine, [])), None))
            found += check_ticket(trail, tickets.get(mine))
            self._suspects |= trail.suspects
            if trail.is_torn:
                self._torn.add(mine)
        self.progress(self)
        return found

    async def _tenant_chains(self) -> AsyncIterator[Fault]:
        tenant, chain = None, ChainCheck()
        async for event in self._events(TENANT_EVENTS):
            if event["tenant_id"] != tenant:
                tenant, chain = event["tenant_id"], ChainCheck()
            for fault in chain.add(event):
                self._suspects |= {fault.row_id} if fault.row_id else set()
                yield fault

    async def _events(self, statement: str) -> AsyncIterator[dict[str, Any]]:
        cursor = await self.conn.cursor(statement, self.scope.ticket, self.scope.tenant)
        while rows := await cursor.fetch(BATCH_ROWS):
            self.rows["audit_events"] += len(rows)
            for row in rows:
                yield {**timeline_shape(dict(row)), "hash": row["hash"]}

    async def _query(self, statement: str) -> AsyncIterator[Fault]:
        suspects, torn = sorted(self._suspects), sorted(self._torn)
        scope = (self.scope.ticket, self.scope.tenant)
        async for row in self.conn.cursor(statement, *scope, suspects, torn):
            table, row_id, ticket_id, problem = row
            yield Fault(table, row_id and str(row_id), ticket_id and str(ticket_id), problem)

    def _count(self, **found: Collection[Any]) -> None:
        for table, rows in found.items():
            groups = rows.values() if isinstance(rows, dict) else rows
            self.rows[table] += sum(len(g) if isinstance(g, list) else 1 for g in groups)


async def open_for_verification(url: str) -> Connection:
    """Return a connection in the role of the login itself; jsonb values are Python objects."""
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text"
    )
    return conn


def _by_ticket(rows: Iterable[asyncpg.Record]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(str(row["ticket_id"]), []).append(dict(row))
    return grouped
