"""A ticket that was closed with real files in a real object store, and its dossier."""

import hashlib
import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple
from uuid import UUID

import httpx
from PIL import Image, ImageDraw

from policy.dossier.verifier import read_keys
from policy.model import Role, Ticket
from records.audit.anchoring import AT_ONCE, Anchoring
from records.audit.signing_keys import SigningKeys
from records.dossier.builder import Dossiers
from records.dossier.filing import keep_bundle
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.key_ring import new_key
from runtime.objects.vault import Vault, open_vault
from runtime.postgres.pool import Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import CHECKLIST, EVIDENCE_KEYS, WINDOW, Runner

KEYS = SigningKeys.read([new_key("issuer")])
PUBLIC = read_keys(KEYS.public_entries())
COLOURS = ("#7d8f9b", "#b08d57", "#5b7b6f", "#8a6f8f")


class Upload(NamedTuple):
    """A file to be put under evidence."""

    kind: str
    key: str | None
    content: bytes
    content_type: str


def picture(number: int, size: tuple[int, int] = (800, 600)) -> bytes:
    """Return a small photograph-like JPEG that no other number has."""
    image = Image.new("RGB", size, COLOURS[number % len(COLOURS)])
    draw = ImageDraw.Draw(image)
    width, height = size
    draw.rectangle((width * 0.3, height * 0.1, width * 0.7, height), fill="#e8e2d6")
    knob = (width * 0.62, height * 0.55, width * 0.66, height * 0.6)
    draw.ellipse(knob, fill="#33383d")
    draw.text((12, 12), f"picture {number}", fill="white")
    content = BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


def required_uploads() -> list[Upload]:
    """Return what the template of a door that will not latch requires."""
    return [
        Upload("NOTE", key, b"Adjusted the strike; 20 test cycles passed.", "text/plain")
        if key.startswith("note")
        else Upload("PHOTO", key, picture(number), "image/jpeg")
        for number, key in enumerate(EVIDENCE_KEYS)
    ]


async def upload(runner: Runner, ticket: UUID, files: Sequence[Upload]) -> None:
    """Put files under evidence as a client does."""
    async with httpx.AsyncClient() as http:
        for file in files:
            digest = hashlib.sha256(file.content).hexdigest()
            announced = {
                "kind": file.kind,
                **({"evidence_key": file.key} if file.key else {}),
                "content_type": file.content_type,
                "size_bytes": len(file.content),
                "sha256": digest,
            }
            permit = await runner.done("evidence.presign", announced, ticket)
            put = permit["upload"]
            stored = await http.put(put["url"], content=file.content, headers=put["headers"])
            assert stored.is_success, stored.text
            await runner.done("evidence.finalize", {"uri": permit["uri"]}, ticket)


async def close_with(runner: Runner, settings: Settings, files: Sequence[Upload]) -> UUID:
    """Bring a ticket with these files to CLOSED, with an approved increase on the way."""
    runner.store = EvidenceStore(settings, installed_bundle(settings).evidence)
    ticket = await runner.in_progress()
    asked = {"approval_type": "NTE_INCREASE", "reason": "New strike", "amount_delta_cents": 4500}
    approval = (await runner.done("tech.request_change", asked, ticket))["approval"]["id"]
    await runner.done("approval.decide", {"approval_id": approval, "decision": "APPROVED"}, ticket)
    await upload(runner, ticket, files)
    assert (await runner.run("tech.complete", {"checklist_status": {}}, ticket)).status == 409
    await runner.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
    await runner.done("qa.verify", {"timestamp": WINDOW["end"], "result": "PASS"}, ticket)
    await runner.done("billing.generate_invoice", {}, ticket)
    await runner.done("ticket.close", {"reason": "Done"}, ticket)
    return ticket


async def anchor(runner: Runner) -> None:
    """Keep the bundle and anchor every row."""
    await keep_bundle(runner.pool, runner.bundle)
    await Anchoring(runner.pool, KEYS, None).anchor(*AT_ONCE)


def vault_of(settings: Settings) -> Vault:
    """Return the vault of the test's store."""
    vault = open_vault(settings)
    assert vault is not None
    return vault


async def dossier_of(runner: Runner, settings: Settings, subject: UUID) -> bytes:
    """Build a ticket's dossier."""
    return await build(runner.pool, Dossiers(runner.bundle, KEYS, vault_of(settings)), subject)


async def build(pool: Pool, dossiers: Dossiers, subject: UUID, role: Role | None = None) -> bytes:
    """Build a dossier of the default tenant."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        row = await conn.fetchrow("SELECT * FROM tickets WHERE id = $1", subject)
        assert row is not None
        ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
        found = await dossiers.gather(conn, ticket, role)
    assert found is not None
    return await dossiers.build(ticket, *found)


def members_of(dossier: bytes) -> dict[str, bytes]:
    """Return what any ZIP tool reads."""
    with zipfile.ZipFile(BytesIO(dossier)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}
