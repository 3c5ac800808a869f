"""The verifier of a dossier: it accepts an honest one, and names what was changed in any other."""

import hashlib
import os
import random
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import orjson
import pytest

from policy.dossier import verifier as dossier_verifier
from policy.dossier.verifier import BadItemError, Member, archive, verify
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.dossier.closed_tickets import (
    KEYS,
    PUBLIC,
    anchor,
    close_with,
    dossier_of,
    members_of,
    required_uploads,
)

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

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
