"""What only the owner of an installation does to stored evidence: legal holds and redactions.

Each is one transaction that also appends to the ticket's audit chain. The store is asked first: a
hold that is recorded is in force.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4

from policy.model import ActorType
from policy.rules.bundle import Bundle
from records.audit.appending import Author, append_event, lock_chain
from records.evidence.keeping import EvidenceVault
from runtime.objects.s3 import CHUNK_BYTES
from runtime.postgres.pool import Connection

ITEM = """
SELECT i.id, i.tenant_id, i.ticket_id, i.uri, i.object_version_id, u.object_key
  FROM evidence_items i JOIN evidence_uploads u ON u.evidence_item_id = i.id
                       AND i.uri = 's3://' || u.bucket || '/' || u.object_key
 WHERE i.id = $1
"""
HELD = """
SELECT id FROM evidence_holds WHERE evidence_item_id = $1 AND released_event_id IS NULL
"""
PLACE = """
INSERT INTO evidence_holds (ticket_id, evidence_item_id, reason, placed_by, placed_event_id)
VALUES ($1, $2, $3, $4, $5)
"""
RELEASE = "UPDATE evidence_holds SET released_by = $2, released_event_id = $3 WHERE id = $1"
REDACT = """
INSERT INTO evidence_redactions (ticket_id, evidence_item_id, uri, object_version_id, content_type,
                                 size_bytes, sha256, reason, created_by, audit_event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
# What was filed of the ticket holds the original; the store's lock keeps it for its time.
FILE_ANEW = """
WITH filed AS (DELETE FROM closeout_dossiers WHERE ticket_id = $1 RETURNING ticket_id, tenant_id)
INSERT INTO proof.dossier_queue (ticket_id, tenant_id) SELECT ticket_id, tenant_id FROM filed
ON CONFLICT DO NOTHING
"""
ROLE = "operator"


class EvidenceActionError(Exception):
    """The action is not possible; nothing was recorded."""


@dataclass(frozen=True)
class Operator:
    """Who acts and why, as the audit will say."""

    name: str
    reason: str


class EvidenceActions:
    """The actions, on a connection of the schema's owner with an open transaction."""

    def __init__(
        self, conn: Connection, vault: EvidenceVault, bundle: Bundle, operator: Operator
    ) -> None:
        self._conn = conn
        self._vault = vault
        self._bundle = bundle
        self._operator = operator

    async def hold(self, evidence_id: UUID) -> None:
        """Place a legal hold: the store lets nobody delete the object, however old it gets."""
        item = await self._item(evidence_id)
        if await self._conn.fetchval(HELD, item["id"]):
            raise EvidenceActionError("a legal hold is in force already")
        await self._vault.set_hold(item["uri"], item["object_version_id"], on=True)
        event = await self._record(item, "evidence.hold", {})
        values = (item["ticket_id"], item["id"], self._operator.reason, self._operator.name)
        await self._conn.execute(PLACE, *values, event)

    async def release(self, evidence_id: UUID) -> None:
        """Release the legal hold; what the retention says counts again."""
        item = await self._item(evidence_id)
        hold = await self._conn.fetchval(HELD, item["id"])
        if hold is None:
            raise EvidenceActionError("no legal hold is in force")
        event = await self._record(item, "evidence.release", {"hold_id": str(hold)})
        await self._conn.execute(RELEASE, hold, self._operator.name, event)
        await self._vault.set_hold(item["uri"], item["object_version_id"], on=False)

    async def redact(self, evidence_id: UUID, path: Path) -> str:
        """Store a redacted copy beside the original and return its uri.

        A dossier that was filed already is filed anew, with the copy.
        """
        item = await self._item(evidence_id)
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with path.open("rb") as file:
            size_bytes, digest = _measured(file)
            file.seek(0)
            key = f"derived/{item['object_key'].removeprefix('evidence/')}/redaction-{uuid4()}"
            uri, version = await self._vault.put(key, content_type, file, digest)
        told = {"uri": uri, "sha256": digest}
        event = await self._record(item, "evidence.redact", told)
        await self._conn.execute(
            REDACT,
            *(item["ticket_id"], item["id"], uri, version, content_type, size_bytes, digest),
            *(self._operator.reason, self._operator.name, event),
        )
        await self._conn.execute(FILE_ANEW, item["ticket_id"])
        return uri

    async def _item(self, evidence_id: UUID) -> Mapping[str, Any]:
        """Return an item that came as an upload of ours."""
        row = await self._conn.fetchrow(ITEM, evidence_id)
        if row is None:
            raise EvidenceActionError("there is no uploaded evidence with this id")
        return dict(row)

    async def _record(self, item: Mapping[str, Any], tool: str, payload: Mapping[str, Any]) -> UUID:
        locked = await lock_chain(self._conn, item["tenant_id"], item["ticket_id"])
        author = Author(
            actor_type=ActorType.HUMAN,
            actor_id=self._operator.name,
            actor_role=ROLE,
            tool_name=tool,
            policy_bundle_sha256=self._bundle.sha256,
        )
        told = {"evidence_item_id": str(item["id"]), "reason": self._operator.reason, **payload}
        return await append_event(self._conn, locked, author, told)


def _measured(file: IO[bytes]) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    if not size_bytes:
        raise EvidenceActionError("the file is empty")
    return size_bytes, digest.hexdigest()
