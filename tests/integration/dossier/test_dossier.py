"""The dossier of a closed ticket: whole, deterministic, and honest about what it lacks."""

import hashlib
import resource
import time
from collections.abc import Callable
from uuid import uuid4

import orjson
import pytest
from botocore.exceptions import EndpointConnectionError

from policy.dossier.verifier import verify
from records.dossier.builder import ELSEWHERE, GONE, Dossiers
from records.dossier.filing import MOST_DECODING_ATTEMPTS, Filing
from runtime.objects.vault import Kept, Vault
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.dossier.closed_tickets import (
    KEYS,
    PUBLIC,
    Upload,
    anchor,
    close_with,
    dossier_of,
    members_of,
    picture,
    required_uploads,
    vault_of,
)
from tests.integration.evidence.image_files import plane

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

ACCEPTED = """
INSERT INTO command_log (command_id, ticket_id, tool_name, endpoint, actor_type, actor_id,
    actor_role, request_id, request_hash, policy_bundle_version, policy_bundle_sha256)
SELECT $1, ticket_id, tool_name, endpoint, actor_type, actor_id,
       actor_role, request_id, request_hash, policy_bundle_version, policy_bundle_sha256
  FROM command_log WHERE command_id = $2
"""
IMPORTED = """
INSERT INTO tickets (account_id, site_id, summary, state, version, incident_type)
VALUES ($1, $2, 'Old', 'IN_PROGRESS', 7, 'DOOR_WONT_LATCH') RETURNING id
"""
OLD_EVIDENCE = (
    "INSERT INTO evidence_items (ticket_id, kind, uri) VALUES ($1, 'PHOTO', 's3://old/1')"
)


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def test_the_same_facts_make_the_same_bytes(runner: Runner, s3_settings: Settings) -> None:
    ticket = await close_with(runner, s3_settings, required_uploads())
    await anchor(runner)
    first = await dossier_of(runner, s3_settings, ticket)
    await runner.create()
    await anchor(runner)  # the log goes on; what proves this ticket does not change
    assert await dossier_of(runner, s3_settings, ticket) == first


async def test_what_cannot_be_read_is_a_reference_and_says_why(
    runner: Runner, s3_settings: Settings
) -> None:
    ticket = await runner.completed()  # its references lead to another bucket's keys
    foreign = f"s3://{s3_settings.s3_bucket}/evidence/default/another-ticket/file"
    await runner.done("closeout.add_evidence", {"kind": "PHOTO", "uri": foreign}, ticket)
    gone = f"s3://{s3_settings.s3_bucket}/evidence/default/{ticket}/gone"
    await runner.done("closeout.add_evidence", {"kind": "PHOTO", "uri": gone}, ticket)
    key = f"evidence/default/{ticket}/other"
    await vault_of(s3_settings).keep(key, b"other bytes", "text/plain")
    recorded = {"kind": "NOTE", "uri": f"s3://{s3_settings.s3_bucket}/{key}", "checksum": "0" * 64}
    await runner.done("closeout.add_evidence", recorded, ticket)
    dossier = await dossier_of(runner, s3_settings, ticket)

    found = verify(dossier, PUBLIC)
    assert (found["evidence_items"], found["evidence_files"]) == (7, 0)
    assert (found["anchored_rows"], found["checkpoint"]) == (0, None)
    items = orjson.loads(members_of(dossier)["evidence.json"])
    assert [item["missing"] for item in items[-3:]] == [
        ELSEWHERE,
        GONE,
        "What is stored is not what was recorded.",
    ]


async def test_dossiers_of_all_sorts_of_tickets_are_whole(
    runner: Runner, s3_settings: Settings
) -> None:
    new, cancelled = await runner.create(), await runner.scheduled()
    forced = await runner.completed()
    await runner.done("ticket.cancel", {"reason": "Gone"}, cancelled)
    await runner.done("dispatch.manual_bypass", {"bypass_rationale": "Storm"}, forced)
    override = {
        "override_code": "OVERRIDE",
        "override_reason": "The customer moved out yesterday",
        "approver_role": "dispatcher",
    }
    await runner.done("ticket.force_close", override, forced)
    repeated = await runner.in_progress()
    hold = runner.command("dispatch.force_hold", {"reason": "Wrong part"}, repeated)
    await runner.send(hold)
    again = hold.model_copy(update={"command_id": uuid4()})
    await runner.owner.execute(ACCEPTED, again.command_id, hold.command_id)
    await runner.send(again)
    pause = {"scope_type": "TICKET", "ticket_id": str(repeated)}
    await runner.done("ops.autonomy.pause", pause)
    imported = await runner.owner.fetchval(IMPORTED, runner.account, runner.site)
    await runner.owner.execute(OLD_EVIDENCE, imported)
    await runner.add_evidence(imported)
    for ticket, state in (
        (imported, "IN_PROGRESS"),
        (new, "NEW"),
        (cancelled, "CANCELLED"),
        (forced, "CLOSED"),
        (repeated, "ON_HOLD"),
    ):
        assert verify(await dossier_of(runner, s3_settings, ticket), PUBLIC)["state"] == state
    await anchor(runner)
    for ticket in (new, cancelled, forced, repeated, imported):
        found = verify(await dossier_of(runner, s3_settings, ticket), PUBLIC)
        assert found["anchored_rows"] == found["audit_rows"]


async def test_a_hundred_items_are_built_in_five_seconds_and_verified_in_one(
    runner: Runner, s3_settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    more = [
        Upload("PHOTO", f"photo_{number}", picture(number, (1600, 1200)), "image/jpeg")
        for number in range(96)
    ]
    ticket = await close_with(runner, s3_settings, [*required_uploads(), *more])
    await anchor(runner)
    began = time.process_time()
    dossier = await dossier_of(runner, s3_settings, ticket)
    built = time.process_time() - began
    began = time.process_time()
    assert verify(dossier, PUBLIC)["evidence_files"] == 100
    verified = time.process_time() - began
    record_property("seconds", {"built": built, "verified": verified})
    assert built <= 5
    assert verified <= 1


async def test_a_closed_ticket_gets_its_dossier_filed_once_its_rows_are_anchored(
    runner: Runner, s3_settings: Settings, owner: Connection
) -> None:
    vault = vault_of(s3_settings)
    filing = Filing(runner.pool, Dossiers(runner.bundle, KEYS, vault), vault)
    ticket = await close_with(runner, s3_settings, required_uploads())
    assert await filing.file() is None
    await anchor(runner)
    assert await filing.file() == ticket
    assert await filing.file() is None
    row = await owner.fetchrow("SELECT * FROM closeout_dossiers")
    assert row is not None
    key = vault.key_of(row["uri"])
    assert key is not None
    stored = await vault.read(key, row["object_version_id"])
    assert hashlib.sha256(stored).hexdigest() == row["sha256"]
    assert row["retention_until"] is not None
    assert verify(stored, PUBLIC)["ticket_id"] == str(ticket)


class AbsentVault(Vault):
    """A store that is out of reach when something shall be kept."""

    async def keep(self, key: str, content: bytes, content_type: str) -> Kept:
        """Refuse."""
        raise EndpointConnectionError(endpoint_url=f"{key} {len(content)} {content_type}")


async def test_a_dossier_that_ended_its_worker_thrice_is_filed_without_pictures(
    runner: Runner, s3_settings: Settings, owner: Connection
) -> None:
    vault = vault_of(s3_settings)
    dossiers = Dossiers(runner.bundle, KEYS, vault)
    ticket = await close_with(runner, s3_settings, required_uploads())
    await anchor(runner)
    whole = await dossier_of(runner, s3_settings, ticket)
    absent = Filing(runner.pool, dossiers, AbsentVault(s3_settings, vault.bucket))
    for _ in range(MOST_DECODING_ATTEMPTS + 1):  # an outage is no attempt
        assert await absent.file() == ticket
        await owner.execute("UPDATE proof.dossier_queue SET next_attempt_at = now()")
    for attempt in range(1, MOST_DECODING_ATTEMPTS + 1):  # a worker that died told nobody
        claimed = await owner.fetchrow("SELECT * FROM proof.lease_dossier('0')")
        assert claimed is not None
        assert claimed["attempt"] == attempt
    assert await Filing(runner.pool, dossiers, vault).file() == ticket
    uri = await owner.fetchval("SELECT uri FROM closeout_dossiers")
    filed = await vault.read(uri.removeprefix(f"s3://{vault.bucket}/"))
    assert verify(filed, PUBLIC)["evidence_files"] == verify(whole, PUBLIC)["evidence_files"] == 4
    assert b"/DCTDecode" in members_of(whole)["dossier.pdf"]
    assert b"/DCTDecode" not in members_of(filed)["dossier.pdf"]


async def test_evidence_that_unfolds_to_half_a_gigabyte_costs_its_picture_only(
    runner: Runner, s3_settings: Settings, owner: Connection
) -> None:
    huge = plane(12_000, 9_984)
    assert len(huge) < 400_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    more = [Upload("PHOTO", f"huge_{number}", huge, "image/png") for number in range(2)]
    ticket = await close_with(runner, s3_settings, [*required_uploads(), *more])
    seen = await owner.fetchval(
        "SELECT metadata->>'inspection' FROM evidence_items"
        " WHERE metadata->>'evidence_key' = 'huge_0'"
    )
    assert orjson.loads(seen) == {"image": {"width": 12_000, "height": 9_984}}
    await anchor(runner)
    vault = vault_of(s3_settings)
    assert await Filing(runner.pool, Dossiers(runner.bundle, KEYS, vault), vault).file() == ticket
    dossier = await dossier_of(runner, s3_settings, ticket)
    assert verify(dossier, PUBLIC)["evidence_files"] == 6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10  # in KiB
