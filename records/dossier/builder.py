"""The builder: one ticket's record, its evidence and the packet become one archive."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from policy.billing.invoice import ARTIFACT_TYPE
from policy.dossier.manifest import INVOICE, PACKET, EvidenceFile, Record, dossier
from policy.evidence.model import Evidence
from policy.evidence.shape import evidence_shape
from policy.model import Ticket
from policy.rules.bundle import Bundle
from records.audit.signing_keys import SigningKeys, signing_keys
from records.dossier.record import gather
from records.dossier.thumbnails import pictures
from runtime.objects.vault import VAULT_FAULTS, TooLargeError, Vault, open_vault
from runtime.postgres.pool import Connection
from runtime.settings import Settings

MOST_BYTES = 96 * 1024 * 1024
AT_ONCE = 1
"""What one dossier takes is what all take."""
SHA256_DIGITS = 64


@dataclass(frozen=True)
class Dossiers:
    """Builds dossiers. Of files that do not fit together, the later ones stay references."""

    bundle: Bundle
    keys: SigningKeys
    vault: Vault | None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def gather(
        self, conn: Connection, ticket: Ticket
    ) -> tuple[Record, list[Evidence]] | None:
        """Return what a dossier needs of the database; `build` then works without it.

        None for a ticket without a single audit row.
        """
        return await gather(conn, self.bundle, ticket)

    async def build(
        self, ticket: Ticket, record: Record, evidence: Sequence[Evidence], *, decode: bool = True
    ) -> bytes:
        """Return the archive; the same record and files make the same bytes.

        Files are read one after the other, so that what is too much does not depend on luck.
        Without `decode` no picture is shown, and each says so.
        """
        files, room = [], MOST_BYTES
        async with self.turns:
            for item in evidence:
                file = await self._file(ticket, item, room)
                room -= len(file.content or b"")
                files.append(file)
            return await asyncio.to_thread(self._pack, record, files, decode=decode)

    def _pack(self, record: Record, files: Sequence[EvidenceFile], *, decode: bool) -> bytes:
        # A tenth of a worker's start, for what it does rarely.
        from records.dossier.invoice import render_invoice  # noqa: PLC0415
        from records.dossier.packet import render_packet  # noqa: PLC0415

        shown = pictures(files, self.bundle.evidence.images, decode=decode)
        papers = {PACKET: render_packet(record, shown)}
        for artifact in record.artifacts:
            if artifact["artifact_type"] == ARTIFACT_TYPE:
                invoice = artifact["artifact_payload"]
                papers[INVOICE] = render_invoice(invoice, record.site, record.account)
        key_id = self.keys.signing_id or ""
        return dossier(record, files, papers, key_id, lambda text: self.keys.sign(text).signature)

    async def _file(self, ticket: Ticket, item: Evidence, room: int) -> EvidenceFile:
        """Return an item with its bytes, if they are the ticket's own and what was recorded.

        A reference is text that a client chose: only the ticket's folder of our bucket is read.
        """
        shape = evidence_shape(item)
        folder = f"evidence/{ticket.tenant_id}/{ticket.id}/"
        key = None if self.vault is None else self.vault.key_of(item.uri)
        if self.vault is None or key is None or not key.startswith(folder):
            return EvidenceFile(shape, None, "It is kept elsewhere; the reference says where.")
        try:
            content = await self.vault.read(key, item.object_version_id, room)
        except TooLargeError:
            return EvidenceFile(shape, None, "The dossier would be too large with it.")
        except VAULT_FAULTS:
            return EvidenceFile(shape, None, "It could not be read when the dossier was made.")
        checksum = (item.checksum or "").lower()
        if len(checksum) == SHA256_DIGITS and hashlib.sha256(content).hexdigest() != checksum:
            return EvidenceFile(shape, None, "What is stored is not what was recorded.")
        return EvidenceFile(shape, content, None)


def open_dossiers(settings: Settings, bundle: Bundle) -> Dossiers | None:
    """Return the builder, None without a key to sign with; raises `ConfigurationError`."""
    keys = signing_keys(settings)
    if keys is None or keys.signing_id is None:
        return None
    return Dossiers(bundle, keys, open_vault(settings))
