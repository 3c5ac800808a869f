"""Uploads over a wire that cuts, stalls and lets connections overtake, from clients that die.

UPLOAD_STORM_FILES sets the number of files; with more than a few, they are of up to 50 MB.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from records.evidence.keeping import EvidenceVault
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.settings import load_settings
from runtime.stack import PartName
from tests.faults.load.upload_client import LARGEST, file_of
from tests.faults.stack import Faults, assert_whole
from tests.faults.wires.bad_wire import BadWire, Harm, bad_wire
from tests.integration.servers.gateway import TestGateway

pytest_plugins = ["tests.faults.stack_fixture"]

FILES = int(os.environ.get("UPLOAD_STORM_FILES", "24"))
IS_LONG = FILES > 100
MOST_BYTES = LARGEST if IS_LONG else 20_000_000
PHONES = 2
KILL_EVERY_SECONDS = (2.0, 6.0) if IS_LONG else (0.5, 1.5)
KILLS = 60 if IS_LONG else 4
LIMIT_SECONDS = 60 + FILES * 1.5
FLAT_BYTES = 48 << 20
LATE_BYTES = 24 << 20
SAMPLE_SECONDS = 0.2
CLIENT = Path(__file__).with_name("load") / "upload_client.py"
ROWS = """
SELECT i.uri, i.object_version_id, i.checksum, i.size_bytes, i.metadata->>'evidence_key' AS key
  FROM evidence_items i WHERE i.ticket_id = ANY($1::uuid[])
"""
UPLOADS = "SELECT count(*) FROM evidence_uploads WHERE ticket_id = ANY($1::uuid[])"


@dataclass
class Memory:
    """The resident memory of a process over time."""

    pid: int
    samples: list[int] = field(default_factory=list)

    def sample(self) -> None:
        """Take one sample."""
        self.samples.append(psutil.Process(self.pid).memory_info().rss)

    @property
    def growth(self) -> int:
        """How much more than at the start it ever was."""
        return max(self.samples) - self.samples[0]

    @property
    def late_growth(self) -> int:
        """How much more it was in the second half than ever in the first."""
        half = len(self.samples) // 2
        return max(self.samples[half:]) - max(self.samples[:half])

    def __str__(self) -> str:
        """Say what it was at the start, and the most in each quarter: a leak grows in the last."""
        ends = [len(self.samples) * number // 4 for number in range(5)]
        most = [max(self.samples[start:end]) for start, end in pairwise(ends)]
        return " -> ".join(str(size >> 20) for size in (self.samples[0], *most))


@asynccontextmanager
async def sampled(memories: Sequence[Memory]) -> AsyncIterator[None]:
    """Sample the memory of processes all the time."""

    async def forever() -> None:
        while True:
            for memory in memories:
                memory.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()


async def phone(arguments: Sequence[str]) -> int:
    """Keep one client at work, killed every now and then, until it is done; return the kills."""
    chance, kills = random.Random(arguments[2]), 0  # noqa: S311  no secret
    while True:
        process = await asyncio.create_subprocess_exec(sys.executable, str(CLIENT), *arguments)
        try:
            wait = chance.uniform(*KILL_EVERY_SECONDS) if kills < KILLS // PHONES else None
            assert await asyncio.wait_for(process.wait(), wait) == 0
        except TimeoutError:
            kills += 1
        else:
            return kills
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def shares(gateway: TestGateway, wires: Sequence[BadWire]) -> dict[str, list[str]]:
    """Return the arguments of each client, by its ticket."""
    size = -(-FILES // PHONES)
    api, store = wires
    return {
        ticket: [
            *(api.url, store.url, ticket),
            *(str(number * size), str(min(FILES, (number + 1) * size)), str(MOST_BYTES)),
        ]
        for number, ticket in enumerate(gateway.new_ticket() for _ in range(PHONES))
    }


@pytest.mark.timeout(LIMIT_SECONDS)
async def test_every_file_arrives_once_and_as_it_was(faults: Faults, gateway: TestGateway) -> None:
    memories = [Memory(faults.stack.pid(part)) for part in (PartName.API, PartName.WORKER)]
    harm = Harm(cut_percent=0.2, stall_percent=0.2, stall_seconds=0.5, late_seconds=0.02)
    rude = Harm(cut_percent=2, stall_percent=2, stall_seconds=0.2, late_seconds=0.02)
    began = time.monotonic()
    async with (
        bad_wire(gateway.url, rude, seed=1) as api,
        bad_wire(gateway.env["DISPATCH_S3_ENDPOINT_URL"], harm, seed=2) as store,
        sampled(memories),
    ):
        work = shares(gateway, (api, store))
        kills = sum(await asyncio.gather(*map(phone, work.values())))
    seconds = time.monotonic() - began
    sent = await assert_delivered(gateway, list(work))
    print(  # noqa: T201  read by who runs `make uploads`
        f"{FILES} files, {sent / 1e6:.0f} MB in {seconds:.0f} s; {api.cuts + store.cuts} cuts,"
        f" {api.stalls + store.stalls} stalls, {api.connections + store.connections} connections,"
        f" {kills} kills; memory at first and in each quarter (MB): API {memories[0]},"
        f" worker {memories[1]}"
    )
    assert store.cuts + api.cuts > 0
    assert all(memory.growth < FLAT_BYTES for memory in memories)
    assert all(memory.late_growth < LATE_BYTES for memory in memories)


async def assert_delivered(gateway: TestGateway, tickets: Sequence[str]) -> int:
    """Compare rows and stored bytes with the files; return how many bytes these are."""
    files = {file.evidence_key: file for file in (file_of(n, MOST_BYTES) for n in range(FILES))}
    async with gateway.owner() as owner:
        rows = await owner.fetch(ROWS, tickets)
        assert await owner.fetchval(UPLOADS, tickets) == FILES
    assert sorted(row["key"] for row in rows) == sorted(files)
    settings, _ = load_settings(gateway.env)
    opened = EvidenceStore(settings, installed_bundle(settings).evidence)
    vault = EvidenceVault(opened.s3)
    for row in rows:
        file = files[row["key"]]
        assert (row["size_bytes"], row["checksum"]) == (file.size_bytes, file.sha256)
        stored = await vault.read(row["uri"], row["object_version_id"])
        assert stored == (file.sha256, file.size_bytes)
    opened.close()
    await assert_whole(gateway.owner_url)
    return sum(file.size_bytes for file in files.values())
