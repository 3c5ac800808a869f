"""Looking after evidence: sweeping what was abandoned, and hashing what is stored again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from temporalio import activity

from contracts.evidence import AUDIT_EVIDENCE, SWEEP_UPLOADS, Audited, EvidenceActivities, Swept
from contracts.statements import SET_TENANT
from runtime.postgres.pool import Pool

BATCH = 500
STALE = "SELECT * FROM stale_uploads($1, $2)"
LOCK = "SELECT FROM lock_chain($1, $2)"
GIVE_UP = """
UPDATE evidence_uploads SET abandoned_at = now()
 WHERE id = $1 AND finalized_at IS NULL AND abandoned_at IS NULL
"""
# Finalized meanwhile, or referred to: then the bytes are evidence.
IS_EVIDENCE = "SELECT is_evidence($1)"
SWEPT = "UPDATE evidence_uploads SET swept_at = now() WHERE id = $1"
TO_READ = "SELECT * FROM evidence_to_read($1, $2, $3)"
UNHASHED = "SELECT unhashed_evidence($1)"
CHECKED = """
INSERT INTO evidence_checks (evidence_item_id, ticket_id, checked_at, failure, actual_sha256,
                             failed_since)
SELECT $1, $2, now(), $3, $4, CASE WHEN $3::text IS NOT NULL THEN now() END
ON CONFLICT (evidence_item_id) DO UPDATE
   SET checked_at = excluded.checked_at, failure = excluded.failure,
       actual_sha256 = excluded.actual_sha256,
       failed_since = CASE WHEN excluded.failure IS NOT NULL
                           THEN coalesce(evidence_checks.failed_since, excluded.failed_since) END
"""
log = structlog.get_logger()


class Reading(Protocol):
    """What an object is."""

    @property
    def sha256(self) -> str:
        """Its digest."""
        ...

    @property
    def size_bytes(self) -> int:
        """How much was read."""
        ...


class Vault(Protocol):
    """What is asked of the object store here. An outage is an exception: the run is repeated."""

    @property
    def bucket(self) -> str:
        """The bucket that is ours."""
        ...

    async def read(self, uri: str, version_id: str | None) -> Reading | str:
        """Read what is stored as a whole, or return the code of why that cannot be done."""
        ...

    async def remove(self, uri: str) -> bool:
        """Remove every version under a uri; return False where a lock keeps one."""
        ...

    async def abort_stale(self, before: datetime) -> int:
        """Abort every upload in parts that began before an instant."""
        ...


@dataclass(frozen=True)
class EvidenceRates:
    """When an upload's time is over, and how much evidence is hashed again how often."""

    upload_deadline: timedelta
    audit_interval: timedelta
    audit_bytes: int


class StoredEvidenceActivities(EvidenceActivities):
    """Looks after the evidence of all tenants."""

    def __init__(self, pool: Pool, vault: Vault, rates: EvidenceRates) -> None:
        self._pool = pool
        self._vault = vault
        self._rates = rates

    @activity.defn(name=SWEEP_UPLOADS)
    async def sweep_uploads(self) -> Swept:
        """Give up uploads whose time is over and remove their bytes, unless evidence names them."""
        before = datetime.now(UTC) - self._rates.upload_deadline
        uploads = kept = 0
        multiparts = await self._vault.abort_stale(before)
        for row in await self._rows(STALE, before, BATCH):
            _beat()
            if await self._given_up(row):
                uploads += 1
                kept += not await self._vault.remove(_uri(row))
            await self._in_tenant(row, SWEPT, row["id"])
        swept = Swept(uploads=uploads, kept=kept, multiparts=multiparts)
        log.info("evidence.swept", **swept.model_dump())
        return swept

    @activity.defn(name=AUDIT_EVIDENCE)
    async def audit(self) -> Audited:
        """Hash stored evidence again, until the rate is reached, and record what differs."""
        if not self._rates.audit_bytes:
            return Audited()
        bucket, before = self._vault.bucket, datetime.now(UTC) - self._rates.audit_interval
        items = failures = size_bytes = 0
        for row in await self._rows(TO_READ, bucket, before, BATCH):
            if size_bytes >= self._rates.audit_bytes:
                break
            _beat()
            found = await self._vault.read(row["uri"], row["object_version_id"])
            actual, failure = _judged(row["sha256"], found)
            await self._in_tenant(row, CHECKED, row["id"], row["ticket_id"], failure, actual)
            items += 1
            size_bytes += 0 if isinstance(found, str) else found.size_bytes
            if failure is not None:
                failures += 1
                _report(row, failure, actual)
        unchecked: int = await self._pool.fetchval(UNHASHED, bucket)
        return Audited(items=items, size_bytes=size_bytes, failures=failures, unchecked=unchecked)

    async def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._pool.fetch(sql, *values)]

    async def _given_up(self, row: Mapping[str, Any]) -> bool:
        """Close an upload to finalizing, in turn with the ticket's commands."""
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(LOCK, row["tenant_id"], row["ticket_id"])
            await conn.execute(GIVE_UP, row["id"])
            return not await conn.fetchval(IS_EVIDENCE, row["id"])

    async def _in_tenant(self, row: Mapping[str, Any], sql: str, *values: object) -> None:
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, row["tenant_id"])
            await conn.execute(sql, *values)


def _judged(expected: str, found: Reading | str) -> tuple[str | None, str | None]:
    """Return the digest that was read, and what is wrong."""
    if isinstance(found, str):
        return None, found
    return found.sha256, None if found.sha256 == expected else "SHA256_MISMATCH"


def _report(row: Mapping[str, Any], failure: str, actual: str | None) -> None:
    log.error(
        "evidence.integrity_failure",
        evidence_item_id=str(row["id"]),
        ticket_id=str(row["ticket_id"]),
        tenant_id=row["tenant_id"],
        failure=failure,
        expected=row["sha256"],
        actual=actual,
    )


def _uri(row: Mapping[str, Any]) -> str:
    return f"s3://{row['bucket']}/{row['object_key']}"


def _beat() -> None:
    if activity.in_activity():
        activity.heartbeat()
