"""One transaction a command, whatever it is about: decided and recorded once."""

from collections.abc import Awaitable, Mapping
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

import asyncpg
import structlog
from temporalio import activity

from activities.command.attempts import (
    MOST_ATTEMPTS,
    OUTAGES,
    Attempts,
    SlowCommandError,
    attempt_number,
)
from activities.command.forgery import UNSIGNED, disarmed
from activities.command.opening import Opening
from activities.command.recording import Recorder
from activities.command.writes import taken_outbox_key
from contracts.command import Outcome, SignedCommand
from contracts.signing import is_authentic, is_bound
from policy.codes import Code
from policy.command.decide import Judge, asked, decide
from policy.command.effects import Denial, Effects
from policy.command.facts import Facts
from policy.command.message import Command
from policy.rules.bundle import Bundle
from policy.values import PayloadModel
from runtime.postgres.pool import Connection, Pool, reading

CLOSE_OPEN_ROW = """
UPDATE command_log SET decision = 'ALLOW', response_code = $2, response_body = $3::text::jsonb,
       response_text = $3, decided_at = now()
 WHERE command_id = $1 AND decided_at IS NULL
"""
NOTIFY = "SELECT pg_notify('command', $1)"
STANDING = """
SELECT date_trunc('milliseconds', now()) AS now,
       EXISTS (SELECT FROM command_log WHERE command_id = $1 AND decided_at IS NOT NULL) AS decided
"""
GIVE_UP = "SELECT give_up_command($1, $2)"
PAYLOAD = "SELECT payload FROM command_payloads WHERE command_id = $1"
log = structlog.get_logger()


Op = TypeVar("Op", bound=Opening)
R = TypeVar("R", bound=Outcome)
T = TypeVar("T")
R_co = TypeVar("R_co", bound=Outcome, covariant=True)
Asked = PayloadModel | Denial


class Aggregate(Protocol[Op, R_co]):
    """What a kind of subject contributes to the transaction of its commands.

    `judge` is how they are judged, `statement` how they are recorded.
    """

    judge: Judge
    statement: str

    async def outside(self, command: Command, payload: Asked) -> Mapping[str, Any]:
        """Return facts that are looked up before the transaction; no lock is held meanwhile."""

    async def open(self, conn: Connection, command: Command) -> Op:
        """Take the subject's lock and return what is true now."""

    async def facts(
        self,
        conn: Connection,
        command: Command,
        payload: Asked,
        opening: Op,
        outside: Mapping[str, Any],
    ) -> Facts:
        """Return everything that the decision may look at."""

    async def apply(
        self,
        conn: Connection,
        command: Command,
        opening: Op,
        facts: Any,  # noqa: ANN401  those that `facts` returned
        effects: Any,  # noqa: ANN401  those that the kind's tools return
    ) -> R_co:
        """Write what the decision changes, record it, and return what became of the command."""

    async def unchanged(
        self, conn: Connection, command: Command, opening: Op, code: str | None
    ) -> R_co:
        """Return what became of a command that changed nothing: it was denied, or a repeat."""

    def untold(self, command: Command, code: str | None) -> R_co:
        """Return what became of a command without the subject, which cannot be read."""


class Transactions(Generic[Op, R]):
    """The transactions of one kind's commands, over an injected pool; `key` checks the MAC."""

    def __init__(self, pool: Pool, bundle: Bundle, key: bytes, aggregate: Aggregate[Op, R]) -> None:
        self._pool = pool
        self._bundle = bundle
        self._key = key
        self._aggregate = aggregate
        self._attempts = Attempts(pool)

    async def execute(self, signed: SignedCommand) -> R:
        """Decide a command and record verdict, audit and new state in one transaction.

        Idempotent on the command's id: a retry gets the first outcome. One that cannot be decided
        is refused in the end, so that it owns neither its subject nor its worker.
        """
        if not is_authentic(self._key, signed):
            return await self._refuse(disarmed(self._bundle, signed.command))
        async with self._attempts.at(signed.command) as failed:
            given_up = failed >= MOST_ATTEMPTS
            decided = self._give_up if given_up else self._decide
            return await decided(signed.command)

    async def _decide(self, command: Command) -> R:
        if command.payload_stored:
            command = await self._with_payload(command)
        payload = asked(self._bundle, command) if is_bound(command) else UNSIGNED
        outside = await self._aggregate.outside(command, payload)
        try:
            outcome = await self._commit(command, payload, outside)
        except asyncpg.UniqueViolationError:
            # The same key was decided on another subject meanwhile: now its answer is there.
            outcome = await self._commit(command, payload, outside)
        _log_committed(command, outcome)
        return outcome

    async def _refuse(self, command: Command) -> R:
        """Record what nobody was promised; if that cannot be done, the log alone has it."""
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                opening = await self._aggregate.open(conn, command)
                return await self._deny(conn, command, opening, UNSIGNED)
        except OUTAGES:
            raise
        except Exception:
            if attempt_number() < MOST_ATTEMPTS:
                raise
            log.exception("command.forgery_not_recorded", tool_name=command.tool)
            return self._aggregate.untold(command, UNSIGNED.code)

    async def _give_up(self, command: Command) -> R:
        """Record a command as refused for a defect of ours, and name it to whoever is on call."""
        reference = uuid4()
        denial = Denial(code=Code.INTERNAL_ERROR, details={"reference": str(reference)})
        async with self._pool.acquire() as conn, conn.transaction():
            # For its lock: an attempt that hangs may still come to an end. It may be what fails.
            await _tolerated(self._aggregate.open(conn, command))
            standing = await conn.fetchrow(STANDING, command.command_id)
            if standing is not None and not standing["decided"]:
                recorder = Recorder(conn, self._bundle, command, self._aggregate.statement)
                await recorder.deny(standing["now"], denial)
                await conn.execute(GIVE_UP, command.command_id, reference)
                log.error(
                    "command.given_up",
                    command_id=str(command.command_id),
                    workflow_id=command.subject.workflow_id,
                    tool_name=command.tool,
                    reference=str(reference),
                )
        outcome = await _tolerated(self._outcome_of(command))
        return outcome or self._aggregate.untold(command, denial.code)

    async def _outcome_of(self, command: Command) -> R:
        """Return the subject as it stands after a command that was decided."""
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await self._aggregate.open(conn, command)
            return await self._aggregate.unchanged(conn, command, opening, opening.decided_code)

    async def _with_payload(self, command: Command) -> Command:
        """Return a command with the payload that was stored for it; a decided one has none."""
        async with reading(self._pool, command.actor.tenant_id) as conn:
            payload = await conn.fetchval(PAYLOAD, command.command_id)
        return command.model_copy(update={"payload": payload or {}})

    async def _commit(self, command: Command, payload: Asked, outside: Mapping[str, Any]) -> R:
        async with self._pool.acquire() as conn, conn.transaction():
            opening = await self._aggregate.open(conn, command)
            try:
                return await self._conclude(conn, command, payload, opening, outside)
            except TimeoutError as error:
                raise SlowCommandError(command.tool) from error

    async def _conclude(
        self,
        conn: Connection,
        command: Command,
        payload: Asked,
        opening: Op,
        outside: Mapping[str, Any],
    ) -> R:
        if opening.decided:  # a repeat may have begun to wait after the first notice
            await conn.execute(NOTIFY, str(command.command_id))
            code = opening.decided_code
            return await self._aggregate.unchanged(conn, command, opening, code)
        if payload is UNSIGNED:
            return await self._deny(conn, disarmed(self._bundle, command), opening, UNSIGNED)
        if opening.stored_hash is not None:
            return await self._stored(conn, command, opening)
        facts = await self._aggregate.facts(conn, command, payload, opening, outside)
        decision = decide(self._bundle, facts, command, payload, self._aggregate.judge)
        if isinstance(decision, Effects):
            decision = await _outbox_conflict(conn, decision) or decision
        if isinstance(decision, Denial):
            return await self._deny(conn, command, opening, decision)
        return await self._aggregate.apply(conn, command, opening, facts, decision)

    async def _deny(self, conn: Connection, command: Command, opening: Op, denial: Denial) -> R:
        recorder = Recorder(conn, self._bundle, command, self._aggregate.statement)
        await recorder.deny(opening.now, denial)
        return await self._aggregate.unchanged(conn, command, opening, denial.code)

    async def _stored(self, conn: Connection, command: Command, opening: Op) -> R:
        """Close a command whose key has its answer already, or refuse the key's misuse."""
        if opening.stored_hash != command.request_hash:
            mismatch = Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH)
            return await self._deny(conn, command, opening, mismatch)
        await conn.execute(
            CLOSE_OPEN_ROW, command.command_id, opening.stored_status, opening.stored_text
        )
        await conn.execute(NOTIFY, str(command.command_id))
        return await self._aggregate.unchanged(conn, command, opening, None)


async def _tolerated(work: Awaitable[T]) -> T | None:
    """Return what comes of it, None if it fails for anything but an outage."""
    try:
        return await work
    except OUTAGES:
        raise
    except Exception:
        log.exception("command.subject_unreadable")
        return None


async def _outbox_conflict(conn: Connection, effects: Effects) -> Denial | None:
    taken = await taken_outbox_key(conn, effects.writes)
    if taken is None:
        return None
    details = {"event_type": taken.event_type, "idempotency_key": taken.idempotency_key}
    return Denial(code=Code.OUTBOX_CONFLICT, details=details)


def _log_committed(command: Command, outcome: Outcome) -> None:
    log.info(
        "command.committed",
        command_id=str(command.command_id),
        ticket_id=None if command.ticket_id is None else str(command.ticket_id),
        tool_name=command.tool,
        request_id=command.request_id,
        correlation_id=command.correlation_id,
        trace_id=command.trace_id,
        workflow_id=activity.info().workflow_id if activity.in_activity() else None,
        code=outcome.code,
    )
