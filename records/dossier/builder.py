"""The builder: one ticket's record, its evidence and the packet become one archive."""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from policy.billing.invoice import ARTIFACT_TYPE
from policy.dossier.manifest import INVOICE, PACKET, EvidenceFile, Record, dossier
from policy.evidence.model import Evidence
from policy.evidence.shape import evidence_shape
from policy.evidence.variants import Readable
from policy.model import Role, Ticket
from policy.rules.bundle import Bundle
from records.audit.signing_keys import SigningKeys, dossier_keys
from records.dossier.papers import Papers, Turns
from records.dossier.record import gather
from records.dossier.thumbnails import pictures
from runtime.objects.vault import VAULT_FAULTS, TooLargeError, Vault, is_absent, open_vault
from runtime.postgres.pool import Connection
from runtime.settings import Settings

MOST_BYTES = 96 * 1024 * 1024
AT_ONCE, MOST_WAITING = 1, 6
"""What one dossier takes is what all take."""
SHA256_DIGITS = 64
ELSEWHERE = "Its bytes are not here: the reference leads to a place that is not ours to read."
GONE = "Its bytes are not here: there was nothing under the reference when the dossier was made."
UNREADABLE = "Its bytes are not here: they could not be read when the dossier was made."


@dataclass(frozen=True)
class Dossiers:
    """Builds dossiers. Of files that do not fit together, the later ones stay references."""

    bundle: Bundle
    keys: SigningKeys
    vault: Vault | None
    papers: Papers = field(default_factory=Papers)
    turns: Turns = field(default_factory=lambda: Turns(AT_ONCE, MOST_WAITING))

    async def gather(
        self, conn: Connection, ticket: Ticket, role: Role | None
    ) -> tuple[Record, Sequence[Readable]] | None:
        """Return what a dossier for a role needs of the database; `build` then works without it.

        Without a role it is what everybody may read who may read dossiers. None for a ticket
        without a single audit row.
        """
        return await gather(conn, self.bundle, ticket, role)

    async def build(
        self, ticket: Ticket, record: Record, evidence: Sequence[Readable], *, decode: bool = True
    ) -> bytes:
        """Return the archive; the same record and files make the same bytes.

        Files are read one after the other, so that what is too much does not depend on luck.
        Without `decode` no picture is shown, and each says so. Raises `BusyError` where too many
        wait, and `NotDrawnError`.
        """
        files, room = [], MOST_BYTES
        async with self.turns.turn():
            hidden = {_digest(each.item) for each in evidence if each.redaction} - {None}
            for each in evidence:
                file = await self._file(ticket, each, hidden, room)
                room -= len(file.content or b"")
                files.append(file)
            rules = self.bundle.evidence.images
            shown = await asyncio.to_thread(pictures, files, rules, decode=decode)
            papers = {PACKET: await self.papers.packet(record, shown)}
            for artifact in record.artifacts:
                if artifact["artifact_type"] == ARTIFACT_TYPE:
                    draft = (artifact["artifact_payload"], record.site, record.account)
                    papers[INVOICE] = await self.papers.invoice(*draft)
            return await asyncio.to_thread(self._pack, record, files, papers)

    def _pack(
        self, record: Record, files: Sequence[EvidenceFile], papers: Mapping[str, bytes]
    ) -> bytes:
        key_id = self.keys.signing_id or ""
        return dossier(record, files, papers, key_id, lambda text: self.keys.sign(text).signature)

    async def _file(
        self, ticket: Ticket, readable: Readable, hidden: Collection[str | None], room: int
    ) -> EvidenceFile:
        """Return an item with its bytes, if they are the ticket's own and what was recorded.

        A reference is text that a client chose: only the ticket's folder of our bucket is read,
        and what a redaction hides stays hidden under every other name.
        """
        item, redaction = readable
        file = EvidenceFile(evidence_shape(item), None, None, redaction)
        uri, version, digest = _wanted(readable)
        folder = f"{'derived' if redaction else 'evidence'}/{ticket.tenant_id}/{ticket.id}/"
        key = None if self.vault is None else self.vault.key_of(uri)
        if self.vault is None or key is None or not key.startswith(folder):
            return file._replace(missing=ELSEWHERE)
        try:
            content = await self.vault.read(key, version, room)
        except TooLargeError:
            return file._replace(missing="The dossier would be too large with it.")
        except VAULT_FAULTS as fault:
            return file._replace(missing=GONE if is_absent(fault) else UNREADABLE)
        actual = hashlib.sha256(content).hexdigest()
        if digest is not None and actual != digest:
            return file._replace(missing="What is stored is not what was recorded.")
        if redaction is None and actual in hidden:
            return file._replace(missing="It was redacted.")
        told = "It was redacted; the redacted copy stands for it." if redaction else None
        return file._replace(content=content, missing=told)


def _digest(item: Evidence) -> str | None:
    """Return the SHA-256 that was recorded of an item, if one was."""
    checksum = (item.checksum or "").strip().lower()
    return checksum if len(checksum) == SHA256_DIGITS else None


def _wanted(readable: Readable) -> tuple[str, str | None, str | None]:
    """Return the reference, the version and the digest of what may be read of an item."""
    item, redaction = readable
    if redaction is not None:
        return redaction.uri, redaction.object_version_id, redaction.sha256
    return item.uri, item.object_version_id, _digest(item)


def open_dossiers(settings: Settings, bundle: Bundle) -> Dossiers | None:
    """Return the builder, None without a key to sign with; raises `ConfigurationError`."""
    keys = dossier_keys(settings)
    if keys is None or keys.signing_id is None:
        return None
    return Dossiers(bundle, keys, open_vault(settings))
