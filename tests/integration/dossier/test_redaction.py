"""What a redaction hides, it hides at every door: links, lists, packets, pictures and dossiers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import orjson
import pytest

from policy.dossier.verifier import verify
from policy.model import Role
from policy.rules.bundle import load_bundle
from records.dossier.builder import Dossiers
from records.dossier.filing import Filing
from records.evidence.keeping import EvidenceVault
from records.evidence.owner_actions import EvidenceActions, Operator
from records.evidence.store import EvidenceStore
from runtime.key_ring import new_key
from runtime.objects.vault import Kept, Vault
from runtime.postgres.pool import Connection, Pool, owner_transaction
from runtime.settings import Settings
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.dossier.closed_tickets import (
    KEYS,
    PUBLIC,
    Upload,
    anchor,
    build,
    close_with,
    members_of,
    picture,
    required_uploads,
    upload,
    vault_of,
)
from tests.integration.evidence.image_files import photo
from tests.integration.servers.gateway import TestGateway
from tests.integration.servers.in_process import serving

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

ORIGINAL = photo()
COPY = picture(77)
ONE = "SELECT * FROM evidence_items WHERE metadata->>'evidence_key' = 'one'"
OPEN_EYED = [Role.APPROVER, Role.AUDIT]


class Scene(NamedTuple):
    """Where it happens."""

    runner: Runner
    settings: Settings
    url: str
    copy: Path

    async def ticket(self) -> UUID:
        """Bring a ticket into work whose photo is redacted; other names lead to it, too."""
        self.runner.store = EvidenceStore(self.settings, self.runner.bundle.evidence)
        ticket = await self.runner.in_progress()
        twice = [Upload("PHOTO", key, ORIGINAL, "image/jpeg") for key in ("one", "two")]
        await upload(self.runner, ticket, [*required_uploads(), *twice])
        one = await self.runner.row(ONE)
        other = one["uri"].replace("/evidence/", "//evidence/", 1)
        for uri, checksum in ((one["uri"], None), (other, None), (other, one["checksum"])):
            reference = {"kind": "PHOTO", "uri": uri, "checksum": checksum}
            await self.runner.done("closeout.add_evidence", reference, ticket)
        await self.redact()
        return ticket

    async def redact(self) -> None:
        """Redact the photo as an operator."""
        one = await self.runner.row(ONE)
        async with owner_transaction(self.url) as conn:
            vault = EvidenceVault(EvidenceStore(self.settings, self.runner.bundle.evidence).s3)
            actions = EvidenceActions(conn, vault, load_bundle(), Operator("olga", "a face"))
            await actions.redact(one["id"], self.copy)


@pytest.fixture
async def scene(
    pool: Pool, owner: Connection, s3_settings: Settings, database_url: str, tmp_path: Path
) -> Scene:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(COPY)
    return Scene(await build_runner(pool, owner), s3_settings, database_url, copy)


def shown(dossier: bytes) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Return the files of a whole dossier, and its list of evidence."""
    verify(dossier, PUBLIC)
    members = members_of(dossier)
    return list(members.values()), orjson.loads(members["evidence.json"])


async def test_a_dossier_holds_the_variant_that_its_reader_may_see(scene: Scene) -> None:
    ticket = await scene.ticket()
    await anchor(scene.runner)
    dossiers = Dossiers(scene.runner.bundle, KEYS, vault_of(scene.settings))
    for role in (None, *Role):
        files, items = shown(await build(scene.runner.pool, dossiers, ticket, role))
        is_whole = role in OPEN_EYED
        assert (ORIGINAL in files, COPY in files) == (is_whole, not is_whole), role
        seen = [each for each in items if "inspection" in each["metadata"]]
        assert len(seen) == (5 if is_whole else 3), role
        copies = [each["redaction"]["member"] for each in items if "redaction" in each]
        assert len(copies) == (0 if is_whole else 4), role


async def test_a_filed_dossier_is_filed_anew_without_the_original(scene: Scene) -> None:
    vault = vault_of(scene.settings)
    dossiers = Dossiers(scene.runner.bundle, KEYS, vault)
    filing = Filing(scene.runner.pool, dossiers, vault)
    once = Upload("PHOTO", "one", ORIGINAL, "image/jpeg")
    await close_with(scene.runner, scene.settings, [*required_uploads(), once])
    filed = []
    for turn in range(2):
        if turn:
            await scene.redact()
        await anchor(scene.runner)
        assert await filing.file() is not None
        row = await scene.runner.row("SELECT uri FROM closeout_dossiers")
        key = vault.key_of(row["uri"])
        assert key is not None
        filed.append(shown(await vault.read(key))[0])
    assert [(ORIGINAL in files, COPY in files) for files in filed] == [(True, False), (False, True)]


class SlowVault(Vault):
    """A store that takes so long that somebody redacts meanwhile."""

    scene: Scene

    async def keep(self, key: str, content: bytes, content_type: str) -> Kept:
        """Keep it, at last."""
        kept = await super().keep(key, content, content_type)
        await self.scene.redact()
        return kept


async def test_a_dossier_that_was_being_filed_meanwhile_is_built_again(scene: Scene) -> None:
    slow = SlowVault(scene.settings, vault_of(scene.settings).bucket)
    slow.scene = scene
    dossiers = Dossiers(scene.runner.bundle, KEYS, slow)
    once = Upload("PHOTO", "one", ORIGINAL, "image/jpeg")
    await close_with(scene.runner, scene.settings, [*required_uploads(), once])
    await anchor(scene.runner)
    assert await Filing(scene.runner.pool, dossiers, slow).file() is not None
    assert await scene.runner.rows("SELECT FROM closeout_dossiers") == []
    assert len(await scene.runner.rows("SELECT FROM proof.dossier_queue")) == 1


@pytest.fixture
async def http(database_url: str, s3_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    secret = s3_settings.s3_secret_access_key
    assert secret is not None
    env = {
        "DISPATCH_ENV": "test",
        "DISPATCH_DATABASE_URL": database_url,
        "DISPATCH_SIGNING_KEYS": new_key("issuer"),
        "DISPATCH_S3_ENDPOINT_URL": s3_settings.s3_endpoint_url or "",
        "DISPATCH_S3_BUCKET": s3_settings.s3_bucket or "",
        "DISPATCH_S3_ACCESS_KEY_ID": s3_settings.s3_access_key_id or "",
        "DISPATCH_S3_SECRET_ACCESS_KEY": secret.get_secret_value(),
    }
    async with serving(env) as client:
        yield client


@pytest.mark.parametrize("role", ["technician", "dispatcher", "approver"])
async def test_no_read_shows_what_a_redaction_hides(
    scene: Scene, http: httpx.AsyncClient, role: str
) -> None:
    ticket = await scene.ticket()
    headers = TestGateway.as_role(role)
    is_whole = role == "approver"
    listed = (await http.get(f"/tickets/{ticket}/evidence", headers=headers)).json()["evidence"]
    assert sum("inspection" in each["metadata"] for each in listed) == (5 if is_whole else 3)
    dossier = await http.get(f"/tickets/{ticket}/dossier", headers=headers)
    assert (ORIGINAL in members_of(dossier.content).values()) is is_whole
    two = next(each["id"] for each in listed if each["metadata"].get("evidence_key") == "two")
    link = f"/tickets/{ticket}/evidence/{two}/link"
    assert (await http.get(link, headers=headers)).json()["variant"] == "redacted"
    for variant in ("original", "thumbnail"):
        answer = await http.get(link, params={"variant": variant}, headers=headers)
        assert answer.status_code == (200 if is_whole else 403)
    packet = await http.get(f"/ux/technician/job-packet/{ticket}", headers=headers)
    if not is_whole:  # who judges disputes works by no packet
        needs = packet.json()["packet"]["evidence_requirements"]
        assert len(needs["thumbnails"]) == 3
        assert sum("inspection" in each["metadata"] for each in needs["evidence_items"]) == 3
