"""The ticket activities over Postgres: one transaction a command, idempotent on its id."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
from temporalio import activity

from activities.forgery import UNSIGNED, disarmed
from activities.gathering import Connection, Gathering, Pool, evidence_of
from activities.look_ups import ReferenceStore, look_up_all
from activities.recording import Chain, record_denial, record_effects
from activities.views import ticket_view
from activities.writes import taken_outbox_key, write
from contracts.activities import TicketActivities
from contracts.messages import Outcome, SignedCommand, TicketView, TimerFired
from contracts.names import ESCALATE, EXECUTE_COMMAND
from contracts.signing import is_authentic, is_bound
from policy.bundle import Bundle
from policy.case import Need
from policy.codes import Code
from policy.command import Command
from policy.decide import decide
from policy.effects import Decision, Denial, Effects
from policy.facts import Facts, LookUp
from policy.model import Ticket
from policy.payload import parse_payload
from policy.registry import command_tool
from policy.sla import deadlines
from policy.values import truncate_to_milliseconds

BEGIN = "SELECT * FROM begin_command($1, $2, $3, $4, $5, $6)"
RAISE = """
INSERT INTO ticket_escalations (tenant_id, ticket_id, kind, level, due_at, raised_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (ticket_id, kind, level, due_at) DO NOTHING RETURNING id
"""
CLOSE_OPEN_ROW = """
UPDATE command_log SET decision = 'ALLOW', response_code = $2, response_body = $3::text::jsonb,
       response_text = $3, decided_at = now()
 WHERE command_id = $1 AND decided_at IS NULL
"""
NOTIFY = "SELECT pg_notify('command', $1)"
SET_TENANT = "SELECT set_config('dispatch.tenant', $1, true)"
PAYLOAD = "SELECT payload FROM command_payloads WHERE command_id = $1"
log = logging.getLogger("dispatch.ticket")


class Opening(NamedTuple):
    """What was true when the transaction had the ticket's lock."""

    decided: bool
    decided_code: str | None
    stored_tenant: str | None
    stored_hash: str | None
    stored_status: int | None
    stored_text: str | None
    ticket: Ticket | None
    chain: Chain
    rests_since: datetime | None
    now: datetime


class PostgresTicketActivities(TicketActivities):
    """The ticket activities over an injected pool, which the worker opens and closes.

    `store` looks references up where the bundle demands it; `key` checks the gateway's MAC.
    """

    def __init__(self, pool: Pool, bundle: Bundle, key: bytes, store: ReferenceStore) -> None:
        self._pool = pool
        self._bundle = bundle
        self._key = key
        self._store = store

    @activity.defn(name=EXECUTE_COMMAND)
    async def execute_command(self, signed: SignedCommand) -> Outcome:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome.
        """
        command = signed.command
        if not is_authentic(self._key, signed):
            return await self._refuse(disarmed(self._bundle, command))
        if command.payload_stored:
            command = await self._with_payload(command)
        look_ups = await self._look_up(command)
        try:
            return await self._commit(command, look_ups)
        except asyncpg.UniqueViolationError:
            # The same key was decided on another ticket meanwhile: now its answer is there.
            return await self._commit(command, look_ups)

    @activity.defn(name=ESCALATE)
    async def escalate(self, fired: TimerFired) -> TicketView | None:
        """Record every escalation that is due, each once; return the ticket as it stands."""
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await _open(conn, fired.tenant_id, None, fired.ticket_id)
            if opening.ticket is None:
                return None
            ahead = frozenset(self._deadlines(opening))
            for due in sorted(ahead, key=lambda deadline: deadline.due_at):
                if due.due_at > opening.now:
                    continue
                values = (fired.tenant_id, fired.ticket_id, due.kind, due.level, due.due_at)
                if await conn.fetchval(RAISE, *values, opening.now) is not None:
                    log.warning(
                        "ticket.escalated",
                        extra={
                            "ticket_id": str(fired.ticket_id),
                            "kind": due.kind,
                            "level": due.level,
                            "due_at": due.due_at.isoformat(),
                        },
                    )
            return ticket_view(
                self._bundle, opening.ticket, opening.now, _rests(opening), known=ahead
            )

    async def _refuse(self, command: Command) -> Outcome:
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await _open(conn, command.actor.tenant_id, command, command.ticket_id)
            return await self._record_forgery(conn, command, opening)

    async def _record_forgery(
        self, conn: Connection, command: Command, opening: Opening
    ) -> Outcome:
        await record_denial(conn, self._bundle, command, opening.now, UNSIGNED)
        return self._outcome(command, UNSIGNED.code, opening, opening.ticket)

    async def _with_payload(self, command: Command) -> Command:
        """Return a command with the payload that was stored for it; a decided one has none."""
        async with self._tenant(command) as conn:
            payload = await conn.fetchval(PAYLOAD, command.command_id)
        return command.model_copy(update={"payload": payload or {}})

    async def _commit(self, command: Command, look_ups: Mapping[str, LookUp] | None) -> Outcome:
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await _open(conn, command.actor.tenant_id, command, command.ticket_id)
            if opening.decided:
                return self._outcome(command, opening.decided_code, opening, opening.ticket)
            if not is_bound(command):
                return await self._record_forgery(conn, disarmed(self._bundle, command), opening)
            if opening.stored_hash is not None:
                return await self._stored(conn, command, opening)
            facts = await self._facts(conn, command, opening, look_ups)
            decision = decide(self._bundle, facts, command)
            return await self._record(conn, command, opening, facts, decision)

    async def _stored(self, conn: Connection, command: Command, opening: Opening) -> Outcome:
        same_tenant = opening.stored_tenant == command.actor.tenant_id
        if not same_tenant or opening.stored_hash != command.request_hash:
            mismatch = Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH)
            await record_denial(conn, self._bundle, command, opening.now, mismatch)
            return self._outcome(command, mismatch.code, opening, opening.ticket)
        await conn.execute(
            CLOSE_OPEN_ROW, command.command_id, opening.stored_status, opening.stored_text
        )
        await conn.execute(NOTIFY, str(command.command_id))
        return self._outcome(command, None, opening, opening.ticket)

    async def _facts(
        self,
        conn: Connection,
        command: Command,
        opening: Opening,
        look_ups: Mapping[str, LookUp] | None,
    ) -> Facts:
        found: dict[str, Any] = {}
        payload = parse_payload(self._bundle, command.tool, command.payload)
        if not isinstance(payload, Denial):
            gathering = Gathering(conn, command, payload, opening.ticket)
            found = await gathering.gather(command_tool(command.tool).needs)
        return Facts(
            now=opening.now,
            ticket=opening.ticket,
            audit_id=uuid4(),
            new_ids=(uuid4(), uuid4()),
            look_ups=look_ups,
            **found,
        )

    async def _record(
        self,
        conn: Connection,
        command: Command,
        opening: Opening,
        facts: Facts,
        decision: Decision,
    ) -> Outcome:
        if isinstance(decision, Effects):
            taken = await taken_outbox_key(conn, decision.writes)
            if taken is not None:
                details = {
                    "event_type": taken.event_type,
                    "idempotency_key": taken.idempotency_key,
                }
                decision = Denial(code=Code.OUTBOX_CONFLICT, details=details)
        if isinstance(decision, Denial):
            await record_denial(conn, self._bundle, command, facts.now, decision)
            return self._outcome(command, decision.code, opening, opening.ticket)
        await record_effects(conn, self._bundle, command, facts, decision, opening.chain)
        for change in decision.writes:
            await write(conn, command.actor.tenant_id, change)
        if decision.pairs:
            opening = opening._replace(rests_since=facts.now)
        return self._outcome(command, None, opening, decision.ticket)

    async def _look_up(self, command: Command) -> Mapping[str, LookUp] | None:
        """Return what the store holds for every reference the tool judges; None when it need not.

        The references are read again inside the transaction; one that came meanwhile has no
        look-up and counts as invalid.
        """
        if not self._bundle.evidence.require_head or command.tool not in self._bundle.commands:
            return None
        if Need.LOOK_UPS not in command_tool(command.tool).needs:
            return None
        references = [(row.uri, row.object_version_id) for row in await self._evidence(command)]
        sent = command.payload.get("uri")
        if isinstance(sent, str):
            references.append((sent.strip(), None))
        return await look_up_all(self._store, references)

    async def _evidence(self, command: Command) -> tuple[Any, ...]:
        async with self._tenant(command) as conn:
            return await evidence_of(conn, command.ticket_id)

    @asynccontextmanager
    async def _tenant(self, command: Command) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute(SET_TENANT, command.actor.tenant_id)
            yield conn

    def _outcome(
        self, command: Command, code: str | None, opening: Opening, ticket: Ticket | None
    ) -> Outcome:
        view = None
        if ticket is not None:
            known = frozenset(self._deadlines(opening))
            view = ticket_view(self._bundle, ticket, opening.now, _rests(opening), known=known)
        return Outcome(command_id=command.command_id, tool=command.tool, code=code, ticket=view)

    def _deadlines(self, opening: Opening) -> Any:  # noqa: ANN401  an iterator of deadlines
        if opening.ticket is None:
            return ()
        return deadlines(self._bundle, opening.ticket, _rests(opening))


def _rests(opening: Opening) -> datetime:
    return opening.rests_since or opening.now


async def _open(
    conn: Connection, tenant_id: str, command: Command | None, ticket_id: UUID | None
) -> Opening:
    """Take the ticket's lock and return what is true now."""
    row = await conn.fetchrow(
        BEGIN,
        tenant_id,
        command.command_id if command else None,
        ticket_id,
        command.actor.actor_id if command else "",
        command.endpoint if command else "",
        UUID(command.request_id) if command else None,
    )
    if row is None:
        raise LookupError("begin_command always returns a row")
    ticket = row["ticket"]
    columns = {name: ticket[name] for name in Ticket.model_fields} if ticket else None
    return Opening(
        decided=row["log_decision"] is not None,
        decided_code=row["log_code"],
        stored_tenant=row["idem_tenant"],
        stored_hash=row["idem_hash"],
        stored_status=row["idem_code"],
        stored_text=row["idem_text"],
        ticket=Ticket(**columns) if columns and columns["id"] else None,
        chain=Chain(row["chain_seq"], row["chain_hash"], row["chain_at"]),
        rests_since=row["rests_since"],
        now=truncate_to_milliseconds(row["started_at"]),
    )
