"""A desk for the tests of evidence: uploads on a real S3 server, recorded without an engine."""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest_asyncio

from activities.evidence.upkeep import EvidenceRates, StoredEvidenceActivities
from policy.rules.bundle import load_bundle
from records.audit.verification import Verification
from records.evidence.keeping import EvidenceVault
from records.evidence.owner_actions import EvidenceActions, Operator
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.postgres.pool import Connection, Pool, owner_transaction
from runtime.settings import Settings
from tests.integration.command.command_runner import Answer, Runner, build_runner
from tests.integration.servers.s3_fixture import BUCKET

LARGE = os.urandom(1 << 20) * 17
AT_ONCE = EvidenceRates(timedelta(0), timedelta(0), 1 << 30)


def announced(content: bytes, content_type: str = "image/jpeg", **fields: str) -> dict[str, Any]:
    """Return the payload that announces an upload."""
    return {
        "kind": "PHOTO",
        "content_type": content_type,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **fields,
    }


def place(item: dict[str, Any]) -> dict[str, str]:
    """Return bucket and key of an upload or of evidence."""
    return {"Bucket": BUCKET, "Key": item["uri"].removeprefix(f"s3://{BUCKET}/")}


def pinned(item: dict[str, Any]) -> dict[str, str]:
    """Return bucket, key and version of evidence."""
    return {**place(item), "VersionId": item["object_version_id"]}


@dataclass(frozen=True)
class Desk:
    """Uploads of one account, and what is done with them."""

    runner: Runner
    web: httpx.AsyncClient
    store: EvidenceStore
    pool: Pool
    url: str

    @property
    def client(self) -> Any:  # noqa: ANN401  a boto3 client
        """The store's own client, with the rights of an administrator."""
        return self.store.s3.client

    @property
    def vault(self) -> EvidenceVault:
        """Return the vault over the store."""
        return EvidenceVault(self.store.s3)

    def care(self, rates: EvidenceRates = AT_ONCE) -> StoredEvidenceActivities:
        """Return what looks after evidence; by default its time is always over."""
        return StoredEvidenceActivities(self.pool, self.vault, rates)

    async def announce(self, ticket: UUID, content: bytes, **fields: str) -> dict[str, Any]:
        """Announce an upload."""
        return await self.runner.done("evidence.presign", announced(content, **fields), ticket)

    async def put_parts(self, parts: list[dict[str, Any]], content: bytes, part_bytes: int) -> None:
        """Upload parts by their permissions."""
        for part in parts:
            start = (part["part_number"] - 1) * part_bytes
            body = content[start : start + part["size_bytes"]]
            answer = await self.web.put(part["url"], content=body, headers=part["headers"])
            assert answer.status_code == 200, answer.text

    async def upload(self, ticket: UUID, content: bytes, **fields: str) -> dict[str, Any]:
        """Announce and upload a file."""
        signed = await self.announce(ticket, content, **fields)
        permission = signed["upload"]
        sent = await self.web.put(permission["url"], content=content, headers=permission["headers"])
        assert sent.status_code == 200, sent.text
        return signed

    async def record(self, ticket: UUID, content: bytes, **fields: str) -> dict[str, Any]:
        """Upload a file and record it as evidence."""
        signed = await self.upload(ticket, content, **fields)
        return await self.runner.done("evidence.finalize", {"uri": signed["uri"]}, ticket)

    async def finalize(self, ticket: UUID, signed: dict[str, Any]) -> Answer:
        """Finalize an upload, whatever comes of it."""
        return await self.runner.run("evidence.finalize", {"uri": signed["uri"]}, ticket)

    async def faults(self) -> list[str]:
        """Return what `dispatch verify` finds."""
        check = Verification(self.url, frozenset(load_bundle().pairs))
        return [fault.problem async for fault in check.faults()]

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[EvidenceActions]:
        """Act as an operator."""
        async with owner_transaction(self.url) as conn:
            operator = Operator("olga", "a dispute")
            yield EvidenceActions(conn, self.vault, load_bundle(), operator)


@pytest_asyncio.fixture
async def desk(
    s3_settings: Settings, pool: Pool, owner: Connection, database_url: str
) -> AsyncIterator[Desk]:
    """Return a desk on the session's S3 server and a database of its own."""
    store = EvidenceStore(s3_settings, installed_bundle(s3_settings).evidence)
    runner = await build_runner(pool, owner)
    runner.store = store
    async with httpx.AsyncClient(trust_env=False, timeout=30) as web:
        yield Desk(runner, web, store, pool, database_url)
    store.close()
