"""The command bus: look-up, signal and outcome of a command, each one round trip."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
import structlog

from api.command.call import Found
from api.wire.errors import ApiError
from contracts.command import SignedCommand
from contracts.engine_limits import INLINE_BYTES
from contracts.signing import sign
from contracts.statements import SET_TENANT
from policy.codes import Code
from policy.command.effects import Denial
from policy.command.message import Command
from policy.model import Actor
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection, Pool
from runtime.temporal.sending import ENGINE_FAULTS, Sender, Trouble, is_refusal, trouble_of

LOOK_UP = "SELECT * FROM look_up($1, $2, $3, $4, $5, $6)"
OPEN_ROW = """
INSERT INTO command_log (command_id, tenant_id, ticket_id, tool_name, endpoint, actor_type,
                         actor_id, actor_role, request_id, request_hash, correlation_id, trace_id,
                         policy_bundle_version, policy_bundle_sha256, submitted_at,
                         decision, code, dimension, response_code, response_body, response_text,
                         decided_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
        $16, $17, $18, $19, $20::text::jsonb, $20, CASE WHEN $16 = 'DENY' THEN now() END)
ON CONFLICT (command_id) DO NOTHING
"""
STORE_PAYLOAD = """
INSERT INTO command_payloads (command_id, tenant_id, payload) VALUES ($1, $2, $3)
ON CONFLICT (command_id) DO NOTHING
"""
PROMISE = """
INSERT INTO command_promises (command_id, tenant_id, signed) VALUES ($1, $2, $3)
ON CONFLICT (command_id) DO NOTHING
"""
TROUBLES = {
    Trouble.REFUSED: "The workflow engine was reached and refused the command; its operators see"
    " why in the log. Repeat with the same key.",
    Trouble.FAILED: "The workflow engine was reached and failed; repeat with the same key.",
}
log = structlog.get_logger()
Check = Callable[[], Awaitable[None]]
"""Raises the error of a command that is out of reach."""


class Bus:
    """Sends commands to their workflows and logs what never gets there; `key` signs."""

    def __init__(self, pool: Pool, sender: Sender, key: bytes, bundle: Bundle) -> None:
        self._pool = pool
        self._sender = sender
        self._key = key
        self._bundle = bundle

    async def look_up(
        self, actor: Actor, endpoint: str, key: UUID, digest: str, ticket_id: UUID | None
    ) -> Found:
        """Return the stored answer of the key, its open command and the ticket's scope."""
        values = (actor.tenant_id, actor.actor_id, endpoint, key, digest, ticket_id)
        row = await self._pool.fetchrow(LOOK_UP, *values)
        if row is None:
            raise LookupError("look_up always returns a row")
        return Found(**row)

    async def send(self, command: Command, judge_again: Check | None) -> SignedCommand:
        """Sign a command and send it; return it as it was sent.

        Where a running workflow is to be expected, `judge_again` is asked when there is none: its
        subject may have come to its end meanwhile, and a run for a refusal would hide the last one.
        """
        seen = command
        payload = orjson.dumps(command.payload)
        if len(payload) > INLINE_BYTES:
            command = await self._store_payload(command, payload)
        signed = sign(self._key, command)
        if judge_again is not None:
            async with self._promising(signed):
                if await self._sender.signal(signed):
                    return signed
            await judge_again()
        async with self._promising(signed):
            await self._sender.start(signed, seen)
        return signed

    @asynccontextmanager
    async def _promising(self, signed: SignedCommand) -> AsyncIterator[None]:
        """Raise 503 if sending fails, and say whether the engine was absent or did not want it.

        Unless the engine refused the command it may have arrived, so then it is promised: somebody
        will see to it, whether its caller repeats it or not.
        """
        try:
            yield
        except ENGINE_FAULTS as error:
            if not is_refusal(error):
                await self.promise(signed)
            trouble = trouble_of(error)
            if trouble is not Trouble.UNREACHABLE:
                log.warning("engine.did_not_take", trouble=trouble, reason=str(error))
            details = {"reason": trouble.value}
            message = TROUBLES.get(trouble)
            raise ApiError(Code.ENGINE_UNAVAILABLE, message=message, details=details) from error

    async def _store_payload(self, command: Command, payload: bytes) -> Command:
        """Keep a large payload out of the engine's history; the activity reads it by its id."""
        values = command.command_id, command.actor.tenant_id, orjson.Fragment(payload)
        async with self._tenant(command.actor) as conn:
            await conn.execute(STORE_PAYLOAD, *values)
        return command.model_copy(update={"payload": {}, "payload_stored": True})

    @asynccontextmanager
    async def _tenant(self, actor: Actor) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, actor.tenant_id)
            yield conn

    async def promise(self, signed: SignedCommand) -> None:
        """Make an undecided command visible, and keep it whole until it is decided.

        Its caller was told to come back for it: whatever becomes of its workflow, it is sent again.
        """
        command, tenant_id = signed.command, signed.command.actor.tenant_id
        async with self._tenant(command.actor) as conn:
            await self._log(conn, command, None)
            whole = signed.model_dump_json()
            await conn.execute(PROMISE, command.command_id, tenant_id, whole)

    async def log_denial(self, command: Command, denial: Denial) -> None:
        """Log a command that the gateway refused."""
        async with self._tenant(command.actor) as conn:
            await self._log(conn, command, denial)

    async def _log(self, conn: Connection, command: Command, denial: Denial | None) -> None:
        actor = command.actor
        verdict: tuple[object, ...] = (None,) * 5
        if denial is not None:
            body = denial.body(command.request_id or None, command.correlation_id)
            text = orjson.dumps(body).decode()
            verdict = ("DENY", denial.code, denial.dimension, denial.status, text)
        await conn.execute(
            OPEN_ROW,
            command.command_id,
            actor.tenant_id,
            command.ticket_id,
            command.tool,
            command.endpoint,
            actor.actor_type,
            actor.actor_id,
            actor.actor_role,
            UUID(command.request_id) if command.request_id else None,
            command.request_hash,
            command.correlation_id,
            command.trace_id,
            self._bundle.version,
            self._bundle.sha256,
            command.submitted_at,
            *verdict,
        )
