"""The re-check of the anchored log: every row against the log, every checkpoint against both."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from policy.audit.chain import TABLE, Fault
from policy.audit.checkpoint import (
    OBJECT_PREFIX,
    LogCheck,
    SignedCheckpoint,
    fault_of,
    object_key,
    read_checkpoint,
)
from records.audit.signing_keys import SigningKeys
from records.audit.verification import reading
from runtime.objects.vault import VAULT_FAULTS, Vault
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
STORED = "SELECT number FROM proof.stored_checkpoints ORDER BY number"


@dataclass
class LogVerification:
    """One re-check. Without `vault` the copies in the object store are not looked at."""

    url: str
    keys: SigningKeys
    vault: Vault | None
    rows: int = 0
    checkpoints: int = 0
    seconds: float = 0.0

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield what is missing, changed, replaced or badly signed."""
        began = time.monotonic()
        async with reading(self.url) as conn:
            signed = [read_checkpoint(row) for row in await conn.fetch(CHECKPOINTS)]
            self.checkpoints = len(signed)
            async for fault in self._log(conn, signed):
                yield fault
            for row in await conn.fetch(FORGOTTEN):
                problem = "it was never anchored and is not about to be"
                yield Fault(TABLE, str(row["id"]), _text(row["ticket_id"]), problem)
            stored = {row["number"] for row in await conn.fetch(STORED)}
        self.seconds = time.monotonic() - began
        if self.vault is not None:
            kept = [each for each in signed if each.checkpoint.number in stored]
            async for fault in self._copies(self.vault, signed, kept):
                yield fault

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
        self, vault: Vault, signed: list[SignedCheckpoint], kept: list[SignedCheckpoint]
    ) -> AsyncIterator[Fault]:
        """Compare the copies, newest first: each binds all before it, so one that fits ends it."""
        last = signed[-1].checkpoint.number if signed else 0
        try:
            for key in await vault.keys_after(OBJECT_PREFIX, object_key(last)):
                yield fault_of(None, f"the object store holds {key}, the database does not")
            first_bad = None
            for each in reversed(kept):
                found = await vault.read(object_key(each.checkpoint.number))
                if orjson.loads(found) == each.shape():
                    break
                first_bad = each.checkpoint.number
        except VAULT_FAULTS as error:
            yield fault_of(None, f"the object store cannot be asked: {error}")
            return
        if first_bad is not None:
            yield fault_of(first_bad, "it is not the one that the object store holds")


def _changed(index: int, event_id: str, ticket_id: str | None, stored_hash: str | None) -> Fault:
    problem = "changed" if stored_hash is not None else "deleted"
    return Fault(TABLE, event_id, ticket_id, f"{problem} since it was anchored as entry {index}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
