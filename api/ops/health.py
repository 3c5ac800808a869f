"""The health of the gateway and of everything it needs (contract 15.4)."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from temporalio.client import Client

from api.ops.runbooks import HEALTH_RUNBOOK
from api.ops.schema import NOTHING, Schema, read_schema, verdict
from api.ops.servers import BucketProbe, engine_trouble
from policy.rules.bundle import Bundle
from policy.values import format_datetime
from runtime.environment import Mode
from runtime.postgres.pool import DATABASE_FAULTS, Pool
from runtime.settings import Settings

SERVICE = "dispatch-api"
TRIES = 2
RETRY_SECONDS = 0.25
TRY_SECONDS = 1.5
FRESH_SECONDS = 1.0
S3_SCHEMES = frozenset({"s3", "minio"})
FAIL = "fail"


@dataclass(frozen=True)
class Report:
    """One look at everything. A check is `pass`, `warn` or `fail`; other values are information."""

    reachable: bool
    checks: Mapping[str, Mapping[str, Any]]
    at: datetime

    @property
    def failures(self) -> list[dict[str, str]]:
        """Every failing check; without a database, those that could be made."""
        judged = self.checks if self.reachable else ("database", "engine", "object_store")
        return list(self._failures(*judged))

    @property
    def status(self) -> str:
        """`ok`, `down` without a database, else `unhealthy`."""
        if not self.reachable:
            return "down"
        return "unhealthy" if self.failures else "ok"

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether requests can be served now, and the answer of /health/ready."""
        groups = ("database", "migration", "engine") if self.reachable else ("database", "engine")
        failures = list(self._failures(*groups))
        status = "unhealthy" if failures else "ok"
        return not failures, {
            "status": status if self.reachable else self.status,
            "failures": failures,
        }

    def body(self) -> dict[str, Any]:
        """Return the answer of /health."""
        return {
            "status": self.status,
            "service": SERVICE,
            "generated_at": format_datetime(self.at),
            "runbook": HEALTH_RUNBOOK,
            "checks": self.checks,
            "failures": self.failures,
        }

    def _failures(self, *groups: str) -> Iterator[dict[str, str]]:
        for group in groups:
            checks = self.checks[group]
            for key, value in checks.items():
                if value == FAIL:
                    name = str(checks.get("name", key))
                    yield {"name": name, "status": FAIL, "status_code": "FAIL", "reason": group}


class Health:
    """Looks at the servers once a second at most, however often and by how many it is asked."""

    def __init__(self, settings: Settings, bundle: Bundle, pool: Pool, client: Client) -> None:
        self._settings = settings
        self._bundle = bundle
        self._pool = pool
        self._client = client
        self._bucket = BucketProbe(settings)
        self._turn = asyncio.Lock()
        self._last: Report | None = None
        self._fresh_until = float("-inf")

    async def report(self) -> Report:
        """Return what the last look showed, if it is not older than a second; else look again.

        Who asks while somebody looks is told the same.
        """
        clock = asyncio.get_running_loop().time
        async with self._turn:
            if self._last is None or clock() >= self._fresh_until:
                self._last = await self._look()
                self._fresh_until = clock() + FRESH_SECONDS
            return self._last

    async def _look(self) -> Report:
        """Look at everything at once; takes a few seconds at most, whatever is down."""
        schema, engine, bucket = await asyncio.gather(
            self._schema(),
            engine_trouble(self._client, self._settings.temporal_task_queue),
            self._bucket.answers(),
        )
        known = schema or NOTHING
        return Report(
            reachable=schema is not None,
            checks={
                "database": {
                    "name": "database_connectivity",
                    "status": verdict(schema is not None),
                },
                "migration": known.checks(self._bundle),
                "engine": {
                    "name": "engine_connectivity",
                    "status": verdict(engine is None),
                    "namespace": self._settings.temporal_namespace,
                    "task_queue": self._settings.temporal_task_queue,
                    **({} if engine is None else {"detail": engine}),
                },
                "object_store": self._object_store(bucket=bucket),
                "artifact_integrity": self._artifact_integrity(known),
            },
            at=datetime.now(UTC),
        )

    async def _schema(self) -> Schema | None:
        for attempt in range(TRIES):
            await asyncio.sleep(RETRY_SECONDS * attempt)
            try:
                async with asyncio.timeout(TRY_SECONDS), self._pool.acquire() as conn:
                    return await read_schema(conn)
            except (*DATABASE_FAULTS, asyncpg.PostgresError):
                continue
        return None

    def _object_store(self, *, bucket: bool) -> dict[str, Any]:
        configured = self._settings.s3_bucket is not None
        needed = self._settings.evidence_require_head and S3_SCHEMES & set(
            self._settings.object_store_schemes
        )
        status = verdict(bucket) if configured or needed else "warn"
        return {"name": "object_store", "status": status, "configured": configured}

    def _artifact_integrity(self, schema: Schema) -> dict[str, Any]:
        head = self._settings.evidence_require_head
        checksum = self._settings.evidence_require_checksum
        immutable = schema.objects["evidence_immutable_column"]
        artifacts = schema.objects["closeout_artifacts_table"]
        return {
            "evidence_head_verification_enabled": self._enabled(on=head),
            "evidence_head_verification_mode": "required" if head else "disabled",
            "evidence_checksum_enforcement_enabled": self._enabled(on=checksum),
            "evidence_checksum_enforcement_mode": "required" if checksum else "optional",
            "immutable_evidence_column_present": verdict(immutable),
            "closeout_artifacts_table_present": verdict(artifacts),
            "artifact_history_required": verdict(schema.keeps_evidence()),
        }

    def _enabled(self, *, on: bool) -> str:
        if on:
            return "pass"
        return FAIL if self._settings.mode is Mode.PRODUCTION else "warn"
