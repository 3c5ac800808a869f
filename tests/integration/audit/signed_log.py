"""A log of a few signed checkpoints, and whoever tampers with it."""

from uuid import UUID, uuid4

import pytest

from policy.audit.chain import Fault
from records.audit.anchored_log import LogVerification
from records.audit.anchoring import AT_ONCE, Anchoring
from records.audit.signing_keys import SigningKeys
from runtime.key_ring import new_key
from runtime.objects.vault import Vault
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import Runner, build_runner

KEYS = SigningKeys.read([new_key("one")])


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


@pytest.fixture
def anchoring(pool: Pool) -> Anchoring:
    return Anchoring(pool, KEYS, None)


@pytest.fixture
def vault(s3_settings: Settings) -> Vault:
    """Open a new bucket with Object Lock, because what is locked stays."""
    empty = Vault(s3_settings, f"log-{uuid4()}")
    empty.client.create_bucket(Bucket=empty.bucket, ObjectLockEnabledForBucket=True)
    return empty


async def tamper(owner: Connection, statement: str, *values: object) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(statement, *values)


async def faults(url: str, vault: Vault | None = None) -> list[Fault]:
    return [fault async for fault in LogVerification(url, KEYS, vault).faults()]


async def anchored(runner: Runner, anchoring: Anchoring) -> UUID:
    """Make three checkpoints over the rows of one ticket and return its id."""
    ticket = await runner.scheduled()
    await anchoring.anchor(*AT_ONCE)
    for _ in range(2):
        await runner.add_evidence(ticket)
        await anchoring.anchor(*AT_ONCE)
    return ticket
