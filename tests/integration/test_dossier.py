"""The dossier of a closed ticket: whole, deterministic, and honest about what it lacks."""

import hashlib
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from policy import dossier_verifier
from policy.dossier_verifier import BadItemError, Member, archive, read_keys, verify
from runtime.database import Connection, Pool
from runtime.dossier.builder import Dossiers
from runtime.dossier.filing import Filing
from runtime.settings import Settings
from tests.integration.closed_tickets import (
    KEYS,
    Upload,
    anchor,
    close_with,
    dossier_of,
    picture,
    required_uploads,
    vault_of,
)
from tests.integration.command_runner import Runner, build_runner

pytest_plugins = ["tests.integration.postgres_fixture", "tests.integration.s3_fixture"]

PUBLIC = read_keys(KEYS.public_entries())
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
CASES = int(os.environ.get("TAMPER_CASES", "300"))
VERIFIER = Path(dossier_verifier.__file__).read_bytes()


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.fixture
async def dossier(runner: Runner, s3_settings: Settings) -> bytes:
    ticket = await close_with(runner, s3_settings, required_uploads())
    await anchor(runner)
    return await dossier_of(runner, s3_settings, ticket)


def members_of(dossier: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(dossier)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def forged(dossier: bytes, **changed: bytes) -> bytes:
    """Return the dossier as an issuer would sign it who wants to lie: `name__json` is a member."""
    files = members_of(dossier)
    files |= {name.replace("__", "."): content for name, content in changed.items()}
    manifest = orjson.loads(files["manifest.json"])
    for entry in manifest["members"]:
        content = files[entry["name"]]
        entry["size_bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    manifest |= orjson.loads(changed.get("manifest__extra", b"{}"))
    files["manifest.json"] = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    signature = {"key_id": "issuer", "signature": KEYS.sign(files["manifest.json"])[1].hex()}
    files["signature.json"] = orjson.dumps(signature)
    names = ["manifest.json", "signature.json", *(each["name"] for each in manifest["members"])]
    return archive([Member(name, files[name]) for name in names])


def bad_item(dossier: bytes) -> str:
    with pytest.raises(BadItemError) as found:
        verify(dossier, PUBLIC)
    return str(found.value)


def edited(dossier: bytes, name: str, old: bytes, new: bytes) -> bytes:
    content = members_of(dossier)[name]
    assert content.count(old) > 0
    return content.replace(old, new, 1)


class Owners:
    """Tells to which item a byte of the archive belongs."""

    def __init__(self, dossier: bytes) -> None:
        with zipfile.ZipFile(BytesIO(dossier)) as file:
            self._starts = [(entry.header_offset, entry.filename) for entry in file.infolist()]
            self._directory = file.start_dir
        self._entries: list[tuple[int, str]] = []
        at = self._directory
        for _, name in self._starts:
            self._entries.append((at, name))
            at += 46 + len(name)
        self._entries.append((at, "end of the archive"))

    def of(self, place: int) -> str:
        """Return the name that the verifier must give."""
        known = self._starts if place < self._directory else self._entries
        return [name for start, name in known if start <= place][-1]


async def test_an_honest_dossier_is_whole_and_any_zip_tool_reads_it(dossier: bytes) -> None:
    found = verify(dossier, PUBLIC)
    files = members_of(dossier)
    assert found["anchored_rows"] == found["audit_rows"] == 20
    assert found["evidence_files"] == found["evidence_items"] == 4
    assert found["state"] == "CLOSED"
    assert files["dossier.pdf"].startswith(b"%PDF-")
    assert {"ticket.json", "audit.jsonl", "artifacts/closeout_packet.json"} <= set(files)
    assert any(name.startswith("policy/") for name in files)


async def test_the_same_facts_make_the_same_bytes(runner: Runner, s3_settings: Settings) -> None:
    ticket = await close_with(runner, s3_settings, required_uploads())
    await anchor(runner)
    first = await dossier_of(runner, s3_settings, ticket)
    await runner.create()
    await anchor(runner)  # the log goes on; what proves this ticket does not change
    assert await dossier_of(runner, s3_settings, ticket) == first


async def test_the_verifier_needs_nothing_but_pythons_own_library(
    dossier: bytes, tmp_path: Path
) -> None:
    script, file, keys = tmp_path / "v.py", tmp_path / "dossier.zip", tmp_path / "keys"
    script.write_bytes(VERIFIER)
    file.write_bytes(dossier)
    keys.write_text("\n".join(KEYS.public_entries()))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert run(str(file), str(keys)).stdout.endswith("whole\n")
    file.write_bytes(dossier[:-1])
    broken = run(str(file), str(keys))
    assert (broken.returncode, broken.stdout[:9]) == (1, "NOT WHOLE")
    assert run(str(file)).returncode == 2
    assert run(str(file), "nonsense").returncode == 2


async def test_every_changed_byte_is_found_and_its_item_is_named(dossier: bytes) -> None:
    """`make tamper CASES=10000` does it that often."""
    verify(dossier, PUBLIC)
    where = Owners(dossier)
    chance = random.Random(20)  # noqa: S311  cases, not secrets
    for _ in range(CASES):
        place, flip = chance.randrange(len(dossier)), chance.randrange(1, 256)
        changed = bytearray(dossier)
        changed[place] ^= flip
        assert bad_item(bytes(changed)).startswith(where.of(place)), (place, flip)


@pytest.mark.parametrize("cut", [1, 10, 1000])
async def test_a_shorter_or_longer_file_is_refused(dossier: bytes, cut: int) -> None:
    assert bad_item(dossier[:-cut])
    assert bad_item(dossier[cut:])
    assert bad_item(dossier + b"\0" * cut).startswith("end of the archive")
    assert bad_item(b"\0" * cut + dossier).startswith("manifest.json")


async def test_only_the_given_keys_count(dossier: bytes) -> None:
    with pytest.raises(BadItemError, match="not among those given"):
        verify(dossier, {})
    with pytest.raises(BadItemError, match="not the signature of key"):
        verify(dossier, {"issuer": bytes(32)})


async def test_even_the_issuer_cannot_contradict_the_audit_rows(dossier: bytes) -> None:
    rows = members_of(dossier)["audit.jsonl"].splitlines(keepends=True)
    changed = rows[3].replace(b"dispatcher", b"technician")
    without_one = b"".join(rows[:3] + rows[4:])
    evidence = orjson.loads(members_of(dossier)["evidence.json"])
    swapped = [{**evidence[0], "member": evidence[1]["member"]}, *evidence[1:]]
    moved = [{**evidence[0], "ticket_id": "another"}, *evidence[1:]]
    smuggled = [{**evidence[0], "id": "unknown"}, *evidence[1:]]
    redated = {"manifest__extra": orjson.dumps({"as_of": "2020-01-01T00:00:00.000Z"})}
    proofs = members_of(dossier)["proofs.json"]
    number = b'"number":1'
    cases: list[tuple[dict[str, bytes], str]] = [
        ({"audit__jsonl": b"".join([*rows[:3], changed, *rows[4:]])}, "audit.jsonl seq 5"),
        ({"audit__jsonl": without_one}, "audit.jsonl seq 4"),
        ({"audit__jsonl": b"".join(rows[:-1])}, "manifest.json: as_of"),
        ({"ticket__json": edited(dossier, "ticket.json", b"CLOSED", b"NEW")}, "ticket.json"),
        ({"evidence__json": orjson.dumps(swapped)}, "evidence/002"),
        ({"evidence__json": orjson.dumps(moved)}, "evidence.json item"),
        ({"evidence__json": orjson.dumps(smuggled)}, "evidence.json item unknown"),
        ({"proofs__json": proofs.replace(number, b'"number":2', 1)}, "proofs.json: the checkpoint"),
        ({"transitions__json": b"[]"}, "transitions.json"),
        ({"decisions__json": b"[]"}, "decisions.json"),
        (redated, "manifest.json: as_of"),
        ({"artifacts/closeout_packet__json": b"{}"}, "artifacts/closeout_packet.json"),
    ]
    for changes, named in cases:
        assert bad_item(forged(dossier, **changes)).startswith(named), named
    assert verify(forged(dossier), PUBLIC)["state"] == "CLOSED"


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
        "It is kept elsewhere; the reference says where.",
        "It could not be read when the dossier was made.",
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
