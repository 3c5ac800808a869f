"""The command bus: look-up, signal and outcome of a command, each one round trip."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import orjson
from temporalio.client import Client
from temporalio.common import (
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from api.command.address import Destination
from api.command.call import Found
from api.wire.errors import ApiError
from contracts.command import SignedCommand
from contracts.signing import sign
from contracts.statements import SET_TENANT
from policy.codes import Code
from policy.command.effects import Denial
from policy.command.message import Command
from policy.model import Actor
from policy.rules.bundle import Bundle
from runtime.postgres.pool import Connection, Pool

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
RPC_LIMIT = timedelta(seconds=5)
INLINE_BYTES = 4096


class _First(NamedTuple):
    """What operators see of a workflow that a command starts."""

    attributes: TypedSearchAttributes | None
    summary: str | None


class Bus:
    """Sends commands to their workflows and logs what never gets there.

    `destinations` are by the kind of what a command is about; `key` signs.
    """

    def __init__(
        self,
        pool: Pool,
        client: Client,
        destinations: Mapping[str, Destination],
        key: bytes,
        bundle: Bundle,
    ) -> None:
        self._pool = pool
        self._client = client
        self._destinations = destinations
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

    async def send(self, command: Command, *, expect_workflow: bool = False) -> None:
        """Signal the subject's workflow, starting it if none runs; raise 503 if that fails.

        Where a running one is to be expected, a plain signal is tried first: it is cheaper.
        """
        destination = self._destinations[command.subject.kind]
        first = _First(destination.attributes(command), destination.summary(command))
        if len(orjson.dumps(command.payload)) > INLINE_BYTES:
            command = await self._store_payload(command)
        signed = sign(self._key, command)
        try:
            if not (expect_workflow and await self._signal(signed)):
                await self._signal_with_start(signed, destination, first)
        except (TimeoutError, RPCError, RuntimeError) as error:
            raise ApiError(Code.ENGINE_UNAVAILABLE) from error

    async def _signal(self, signed: SignedCommand) -> bool:
        """Signal the running workflow of the subject; return whether there was one."""
        command = signed.command
        handle = self._client.get_workflow_handle(command.subject.workflow_id)
        try:
            await handle.signal(command.tool, signed, rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _signal_with_start(
        self, signed: SignedCommand, destination: Destination, first: _First
    ) -> None:
        command = signed.command
        await self._client.start_workflow(
            destination.workflow,
            destination.start(command),
            id=command.subject.workflow_id,
            task_queue=destination.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=command.tool,
            start_signal_args=[signed],
            search_attributes=first.attributes,
            static_summary=first.summary,
            rpc_timeout=RPC_LIMIT,
        )

    async def _store_payload(self, command: Command) -> Command:
        """Keep a large payload out of the engine's history; the activity reads it by its id."""
        async with self._tenant(command.actor) as conn:
            await conn.execute(
                STORE_PAYLOAD, command.command_id, command.actor.tenant_id, command.payload
            )
        return command.model_copy(update={"payload": {}, "payload_stored": True})

    @asynccontextmanager
    async def _tenant(self, actor: Actor) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, actor.tenant_id)
            yield conn

    async def log_open(self, command: Command) -> None:
        """Make an undecided command visible: its caller was told to come back for it."""
        await self._log(command, None)

    async def log_denial(self, command: Command, denial: Denial) -> None:
        """Log a command that the gateway refused."""
        await self._log(command, denial)

    async def _log(self, command: Command, denial: Denial | None) -> None:
        actor = command.actor
        verdict: tuple[object, ...] = (None,) * 5
        if denial is not None:
            body = denial.body(command.request_id or None, command.correlation_id)
            text = orjson.dumps(body).decode()
            verdict = ("DENY", denial.code, denial.dimension, denial.status, text)
        async with self._tenant(actor) as conn:
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
