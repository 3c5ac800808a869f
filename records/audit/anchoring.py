"""Anchoring: new audit rows of all tenants enter one log, whose state is signed and kept."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from policy.audit.chain import GENESIS
from policy.audit.checkpoint import (
    Checkpoint,
    Extension,
    SignedCheckpoint,
    extend,
    object_key,
    read_checkpoint,
)
from policy.values import truncate_to_milliseconds
from records.audit.signing_keys import SigningKeys
from runtime.objects.vault import VAULT_FAULTS, TakenError, Vault
from runtime.postgres.pool import Connection, Pool

DUE_ROWS = 1000
DUE_AGE = timedelta(seconds=60)
MOST_ROWS = 10_000
MEDIA_TYPE = "application/json"
AT_ONCE = (1, timedelta())

TAKE = "SELECT audit_event_id, hash FROM proof.take($1, $2, $3)"
LAST = "SELECT * FROM proof.checkpoints ORDER BY number DESC LIMIT 1"
ADD_ENTRIES = """
INSERT INTO proof.entries (log_index, audit_event_id, row_hash)
SELECT $1 + position - 1, id, hash
  FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS added (id, hash, position)
"""
ADD_NODES = "INSERT INTO proof.nodes SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])"
ADD_CHECKPOINT = """
INSERT INTO proof.checkpoints (number, tree_size, root_hash, previous, created_at, key_id,
                               signature, consistency, peaks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
UNSTORED = """
SELECT * FROM proof.checkpoints
 WHERE number > coalesce((SELECT max(number) FROM proof.stored_checkpoints), 0)
 ORDER BY number LIMIT 100
"""
ADD_STORED = """
INSERT INTO proof.stored_checkpoints (number, uri, object_version_id, retention_until)
VALUES ($1, $2, $3, $4) ON CONFLICT (number) DO NOTHING
"""
log = structlog.get_logger()


class ForkedLogError(Exception):
    """The log in the database is not the one that was signed before."""


class Anchoring:
    """Anchors what is due. Any number of processes may: the database lets one do it at a time.

    A checkpoint is committed before it goes to the object store, so an outage there only delays
    the copy. `vault` is None without an object store. Nothing is signed that would contradict what
    was: where the store has the next name already, or the last checkpoint is not ours, the log
    was cut or replaced, and `ForkedLogError` ends every turn until somebody has looked.
    """

    def __init__(self, pool: Pool, keys: SigningKeys, vault: Vault | None) -> None:
        self._pool = pool
        self._keys = keys
        self._vault = vault

    async def turn(self) -> None:
        """Anchor what is due and bring every checkpoint to the object store."""
        await self.store()
        while await self.anchor():
            await self.store()

    async def anchor(
        self, due_rows: int = DUE_ROWS, due_age: timedelta = DUE_AGE
    ) -> Checkpoint | None:
        """Anchor the queued rows if there are so many or one is so old; return the checkpoint."""
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(TAKE, due_rows, due_age, MOST_ROWS)
            if not rows:
                return None
            last = await conn.fetchrow(LAST)
            hashes = [bytes.fromhex(row["hash"]) for row in rows]
            size, peaks = (last["tree_size"], last["peaks"]) if last else (0, [])
            await self._must_continue(last)
            grown = await asyncio.to_thread(extend, size, peaks, hashes)
            signed = self._signed(last, grown)
            ids = [row["audit_event_id"] for row in rows]
            await conn.execute(ADD_ENTRIES, size, ids, hashes)
            await _record(conn, grown, signed)
        checkpoint = signed.checkpoint
        rows_added = checkpoint.tree_size - size
        log.info("audit.anchored", rows=rows_added, **checkpoint.body())
        return checkpoint

    async def store(self) -> None:
        """Bring to the object store what is not there yet, in order; a failure waits its turn."""
        if self._vault is None:
            return
        async with self._pool.acquire() as conn:
            ahead = await conn.fetch(UNSTORED)
        for row in ahead:
            signed = read_checkpoint(row)
            number = signed.checkpoint.number
            try:
                kept = await self._vault.keep(object_key(number), signed.document(), MEDIA_TYPE)
            except TakenError as error:
                raise ForkedLogError(f"checkpoint {number}: {error} is another one") from error
            except VAULT_FAULTS as error:
                log.warning("audit.checkpoint_not_stored", number=number, reason=repr(error))
                return
            async with self._pool.acquire() as conn:
                await conn.execute(
                    ADD_STORED, number, kept.uri, kept.version_id, kept.retention_until
                )

    async def _must_continue(self, last: asyncpg.Record | None) -> None:
        """Raise `ForkedLogError` unless the next checkpoint follows all that were ever signed."""
        number = 1
        if last is not None:
            signed, number = read_checkpoint(last), last["number"] + 1
            body, signature = signed.checkpoint, bytes.fromhex(signed.signature)
            if not self._keys.verifies(body.key_id, signature, body.message):
                raise ForkedLogError(f"checkpoint {body.number} is not signed by a key of ours")
        if self._vault is None:
            return
        try:
            held = await self._vault.versions(object_key(number))
        except VAULT_FAULTS as error:
            log.warning("audit.store_not_asked", number=number, reason=repr(error))
            return
        if held:
            raise ForkedLogError(f"the object store holds checkpoint {number} already")

    def _signed(self, last: asyncpg.Record | None, grown: Extension) -> SignedCheckpoint:
        key_id = self._keys.signing_id
        checkpoint = Checkpoint(
            number=last["number"] + 1 if last else 1,
            tree_size=grown.tree_size,
            root_hash=grown.root.hex(),
            previous=read_checkpoint(last).checkpoint.sha256 if last else GENESIS,
            created_at=truncate_to_milliseconds(datetime.now(UTC)),
            key_id=key_id or "",
        )
        return SignedCheckpoint(
            checkpoint=checkpoint,
            signature=self._keys.sign(checkpoint.message).signature.hex(),
            consistency=tuple(each.hex() for each in grown.consistency),
        )


async def _record(conn: Connection, grown: Extension, signed: SignedCheckpoint) -> None:
    starts = [span.start for span, _ in grown.kept]
    ends = [span.end for span, _ in grown.kept]
    await conn.execute(ADD_NODES, starts, ends, [node for _, node in grown.kept])
    checkpoint = signed.checkpoint
    fields = [getattr(checkpoint, name) for name in Checkpoint.model_fields]
    await conn.execute(
        ADD_CHECKPOINT, *fields, signed.signature, list(signed.consistency), grown.peaks
    )
