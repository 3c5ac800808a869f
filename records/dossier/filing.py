"""Filing: each closed ticket gets its dossier into the object store, once its rows are anchored."""

import hashlib
from datetime import timedelta
from uuid import UUID

import structlog

from contracts.statements import SET_TENANT
from policy.canonical import canonical_bytes
from policy.model import Ticket
from policy.rules.bundle import Bundle
from records.audit.appending import lock_chain
from records.dossier.builder import Dossiers
from records.dossier.papers import NotDrawnError
from runtime.objects.vault import VAULT_FAULTS, TakenError, Vault
from runtime.postgres.pool import Connection, Pool

LEASE = timedelta(minutes=5)
MEDIA_TYPE = "application/zip"

# An attempt that ended its process, or that never ended, is not told from one that waits its turn
# again: it is counted when it begins.
MOST_DECODING_ATTEMPTS = 3

CLAIM = "SELECT ticket_id, tenant_id, attempt FROM proof.lease_dossier($1)"
EXCUSE = "SELECT proof.excuse_dossier($1)"
# Redacted since the snapshot: what was built shows too much.
OUTDATED = """
SELECT EXISTS (SELECT FROM redactions_of($1) WHERE evidence_item_id <> ALL ($2::uuid[]))
"""
FINISH = "SELECT proof.finish_dossier($1)"
TICKET = "SELECT * FROM tickets WHERE id = $1"
RECORD = """
INSERT INTO closeout_dossiers (ticket_id, uri, object_version_id, retention_until, sha256,
                               size_bytes, key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (ticket_id) DO NOTHING
"""
KEEP_BUNDLE = """
INSERT INTO proof.bundles (sha256, document) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING
"""
log = structlog.get_logger()


async def keep_bundle(pool: Pool, bundle: Bundle) -> None:
    """Keep the bundle that judges from now on, so that dossiers can hold it."""
    document = canonical_bytes(bundle.model_dump(mode="json")).decode()
    async with pool.acquire() as conn:
        await conn.execute(KEEP_BUNDLE, bundle.sha256, document)


class Filing:
    """Files what is due. Any number of processes may; one that dies gives its ticket back."""

    def __init__(self, pool: Pool, dossiers: Dossiers, vault: Vault) -> None:
        self._pool = pool
        self._dossiers = dossiers
        self._vault = vault

    async def turn(self) -> None:
        """File every dossier that is due; what fails is due again when its lease ends."""
        while await self.file():
            pass

    async def file(self) -> UUID | None:
        """File one dossier and return its ticket, None if nothing is due.

        After a few attempts that came to no end it is filed without pictures, and says so.
        """
        async with self._pool.acquire() as conn:
            claimed = await conn.fetchrow(CLAIM, LEASE)
        if claimed is None:
            return None
        ticket_id: UUID = claimed["ticket_id"]
        try:
            decode = claimed["attempt"] <= MOST_DECODING_ATTEMPTS
            await self._file(ticket_id, claimed["tenant_id"], decode=decode)
        except NotDrawnError as error:  # an attempt that counts
            log.warning("dossier.not_drawn", ticket_id=str(ticket_id), reason=repr(error))
        except (TakenError, *VAULT_FAULTS) as error:
            log.warning("dossier.not_filed", ticket_id=str(ticket_id), reason=repr(error))
            async with self._pool.acquire() as conn:
                await conn.execute(EXCUSE, ticket_id)
        return ticket_id

    async def _file(self, ticket_id: UUID, tenant_id: str, *, decode: bool) -> None:
        snapshot = self._pool.acquire()
        async with snapshot as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            await conn.execute(SET_TENANT, tenant_id)
            ticket = await _ticket(conn, ticket_id)
            found = await self._dossiers.gather(conn, ticket, None)
        if found is None:
            raise LookupError("a closed ticket has audit rows")
        content = await self._dossiers.build(ticket, *found, decode=decode)
        digest = hashlib.sha256(content).hexdigest()
        key = f"dossiers/{tenant_id}/{ticket_id}/{digest}.zip"
        kept = await self._vault.keep(key, content, MEDIA_TYPE)
        async with self._pool.acquire() as conn, conn.transaction():
            await lock_chain(conn, tenant_id, ticket_id)
            redacted = [each.item.id for each in found[1] if each.redaction]
            if await conn.fetchval(OUTDATED, ticket_id, redacted):
                return
            place = (kept.uri, kept.version_id, kept.retention_until)
            key_id = self._dossiers.keys.signing_id
            await conn.execute(RECORD, ticket_id, *place, digest, len(content), key_id)
            await conn.execute(FINISH, ticket_id)
        size_bytes = len(content)
        log.info("dossier.filed", ticket_id=str(ticket_id), size_bytes=size_bytes, pictures=decode)


async def _ticket(conn: Connection, ticket_id: UUID) -> Ticket:
    row = await conn.fetchrow(TICKET, ticket_id)
    if row is None:
        raise LookupError("a closed ticket exists")
    return Ticket(**{name: row[name] for name in Ticket.model_fields})
