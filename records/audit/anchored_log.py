"""The re-check of the anchored log: every row against the log, every checkpoint against both."""

import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from policy.audit.chain import TABLE, Fault
from policy.audit.checkpoint import (
    OBJECT_PREFIX,
    Checkpoint,
    LogCheck,
    SignedCheckpoint,
    fault_of,
    object_key,
    read_checkpoint,
)
from records.audit.signing_keys import SigningKeys
from records.audit.verification import reading
from runtime.objects.s3 import NOT_FOUND, status
from runtime.objects.vault import VAULT_FAULTS, Vault, Version
from runtime.postgres.pool import Connection

BATCH_ROWS = 5000

CHECKPOINTS = "SELECT * FROM proof.checkpoints ORDER BY number"
LOG = """
SELECT e.log_index, e.audit_event_id, e.row_hash, a.hash, a.ticket_id
  FROM proof.entries e LEFT JOIN audit_events a ON a.id = e.audit_event_id
 ORDER BY e.log_index
"""
FORGOTTEN = """
SELECT a.id, a.ticket_id FROM audit_events a
 WHERE NOT EXISTS (SELECT FROM proof.entries e WHERE e.audit_event_id = a.id)
   AND NOT EXISTS (SELECT FROM proof.queue q WHERE q.audit_event_id = a.id)
 ORDER BY a.created_at, a.id
"""
WAITING = """
SELECT count(*), min(a.created_at) FROM proof.queue q JOIN audit_events a ON a.id = q.audit_event_id
 WHERE a.created_at < now() - $1::interval
"""
COPY_LIMIT = timedelta(minutes=15)
"""How long a row may wait to be anchored, and a checkpoint for its copy."""


@dataclass
class LogVerification:
    """One re-check. Without `vault` the copies in the object store are not looked at.

    `known` are roots that somebody kept, by the number of their checkpoint.
    """

    url: str
    keys: SigningKeys
    vault: Vault | None
    known: Mapping[int, str] = field(default_factory=dict)
    rows: int = 0
    checkpoints: int = 0
    newest: Checkpoint | None = None
    seconds: float = 0.0

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield what is missing, changed, replaced, late or badly signed."""
        began = time.monotonic()
        try:  # before the snapshot: what is listed was committed before it was stored
            held = await self.vault.versions(OBJECT_PREFIX) if self.vault else []
        except VAULT_FAULTS as error:
            yield fault_of(None, f"the object store cannot be asked: {error}")
            return
        async with reading(self.url) as conn:
            signed = [read_checkpoint(row) for row in await conn.fetch(CHECKPOINTS)]
            self.checkpoints = len(signed)
            self.newest = signed[-1].checkpoint if signed else None
            for fault in self._known(signed):
                yield fault
            async for fault in self._log(conn, signed):
                yield fault
            for row in await conn.fetch(FORGOTTEN):
                problem = "it was never anchored and is not about to be"
                yield Fault(TABLE, str(row["id"]), _text(row["ticket_id"]), problem)
            count, since = await conn.fetchrow(WAITING, COPY_LIMIT) or (0, None)
        if count and self.vault:  # of a restored copy, without its store, nobody anchors the rest
            yield fault_of(None, f"{count} rows wait to be anchored, the oldest since {since}")
        self.seconds = time.monotonic() - began
        if self.vault is not None:
            try:
                async for fault in self._copies(self.vault, signed, held):
                    yield fault
            except VAULT_FAULTS as error:
                yield fault_of(None, f"the object store cannot be asked: {error}")

    def _known(self, signed: list[SignedCheckpoint]) -> Iterator[Fault]:
        """Hold the roots that somebody kept against those that are there."""
        roots = {each.checkpoint.number: each.checkpoint.root_hash for each in signed}
        for number, root in self.known.items():
            if roots.get(number) != root:
                yield fault_of(number, "it does not have the root that was kept of it")

    async def _log(self, conn: Connection, signed: list[SignedCheckpoint]) -> AsyncIterator[Fault]:
        check = LogCheck(self.keys.verifies, signed)
        cursor = await conn.cursor(LOG)
        expected = 0
        while rows := await cursor.fetch(BATCH_ROWS):
            for index, event_id, row_hash, stored_hash, ticket_id in rows:
                if index != expected:
                    yield fault_of(None, f"log entries {expected} to {index - 1} are missing")
                expected = index + 1
                if row_hash.hex() != stored_hash:
                    yield _changed(index, str(event_id), _text(ticket_id), stored_hash)
                for fault in check.add(row_hash):
                    yield fault
            self.rows += len(rows)
        for fault in check.finish():
            yield fault

    async def _copies(
        self, vault: Vault, signed: list[SignedCheckpoint], held: list[Version]
    ) -> AsyncIterator[Fault]:
        """Demand one copy of each checkpoint, never written twice, equal to it; and no other."""
        versions: dict[str, list[Version]] = {}
        for version in held:
            versions.setdefault(version.key, []).append(version)
        late = datetime.now(UTC) - COPY_LIMIT
        for each in signed:
            number = each.checkpoint.number
            mine = versions.pop(object_key(number), [])
            if len(mine) > 1:
                yield fault_of(number, f"the object store holds {len(mine)} versions of it")
            if mine and not await _is_copy(vault, mine[-1], each.document()):
                yield fault_of(number, "it is not the one that the object store holds")
            if not mine and each.checkpoint.created_at < late:
                yield fault_of(number, "the object store holds no copy of it")
        for key in versions:
            yield fault_of(None, f"the object store holds {key}, the database does not")


async def _is_copy(vault: Vault, version: Version, document: bytes) -> bool:
    """Whether a version is this document; only one whose entity tag does not say so is read."""
    if not version.etag:
        return False
    if version.etag == hashlib.md5(document, usedforsecurity=False).hexdigest():
        return True
    try:
        return await vault.read(version.key, version.version_id) == document
    except ClientError as error:
        if status(error) == NOT_FOUND:
            return False
        raise


def _changed(index: int, event_id: str, ticket_id: str | None, stored_hash: str | None) -> Fault:
    problem = "changed" if stored_hash is not None else "deleted"
    return Fault(TABLE, event_id, ticket_id, f"{problem} since it was anchored as entry {index}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
