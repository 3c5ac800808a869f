"""Promises: what was answered 202 is sent again until it is decided, to a new run if need be.

A workflow may be terminated, reset, deleted or cancelled with commands in it; those that somebody
was told to come back for stand in Postgres whole. One that was decided meanwhile is decided once.
"""

import asyncio
from typing import Any

import structlog

from contracts.command import SignedCommand
from contracts.signing import is_authentic, is_bound
from policy.command.message import Command
from runtime.postgres.pool import Pool
from runtime.temporal.destinations import destinations
from runtime.temporal.sending import Sender, is_refusal
from worker.parts import Parts
from worker.rounds import OUTAGES, in_rounds

TAKE = "SELECT * FROM take_promises($1)"
FORGET = "SELECT forget_attempts()"
STANDING = "SELECT * FROM open_promises(NULL)"
BATCH = 100
PATIENCE = 3
"""After how many that could not be sent, one after the other, a round ends: the engine is away."""
log = structlog.get_logger()


class PromiseKeeper:
    """Sends open promises again; several of them do no harm to each other. `key` checks the MAC."""

    def __init__(self, pool: Pool, sender: Sender, key: bytes) -> None:
        self._pool = pool
        self._sender = sender
        self._key = key

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        await in_rounds(self.round, BATCH, "promises.round_failed", stop)

    async def round(self) -> int:
        """Send what is due again, in the order in which it came; return how many there were."""
        async with self._pool.acquire() as conn:
            await conn.execute(FORGET)
            taken = await conn.fetch(TAKE, BATCH)
            standing = await conn.fetchrow(STANDING) if taken else None
        if standing is not None:
            log.warning("promises.sent_again", sent=len(taken), **dict(standing))
        missed = 0
        for row in taken:
            try:
                await self._send(row["signed"], row["payload"])
                missed = 0
            except Exception as error:  # one that cannot be sent must not keep the others waiting
                missed += 1
                if isinstance(error, OUTAGES) and not is_refusal(error) and missed == PATIENCE:
                    raise
                log.exception("promises.not_sent", command_id=str(row["command_id"]))
        return len(taken)

    async def _send(self, whole: str, payload: dict[str, Any] | None) -> None:
        signed = SignedCommand.model_validate_json(whole)
        seen = signed.command
        if seen.payload_stored:
            seen = seen.model_copy(update={"payload": payload or {}})
        if not self._is_ours(signed, seen):
            log.error("promises.foreign", command_id=str(seen.command_id))
            return
        if not await self._sender.signal(signed):
            await self._sender.start(signed, seen)

    def _is_ours(self, signed: SignedCommand, seen: Command) -> bool:
        """Whether the workers will know it as a gateway's; they would refuse it under no id."""
        return is_authentic(self._key, signed) and is_bound(seen)


def promise_keeper(parts: Parts) -> PromiseKeeper:
    """Return the keeper of this process."""
    sender = Sender(parts.client, destinations(parts.bundle, parts.settings))
    return PromiseKeeper(parts.pool, sender, parts.key)
