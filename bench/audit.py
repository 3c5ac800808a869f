"""`make bench-audit`: what anchoring an audit row costs, and how fast the records are verified.

Postgres alone runs, with durability off, so that the figures are of the work and not of the disk.
"""

import asyncio
import logging
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import structlog

from policy.audit.chain import ChainCheck
from policy.audit.row import Chain, chained
from policy.audit.shape import timeline_shape
from policy.rules.bundle import load_bundle
from records.audit.anchored_log import LogVerification
from records.audit.anchoring import Anchoring
from records.audit.signing_keys import SigningKeys
from records.audit.verification import Verification
from runtime.key_ring import new_key
from runtime.postgres.migrate import migrate
from runtime.postgres.pool import create_pool
from tests.integration.servers.postgres_server import FASTER_THAN_SAFE, start_cluster

ROWS = 100_000
REDACTION_KEY = bytes(32)
QUEUE = "INSERT INTO proof.queue (audit_event_id) SELECT id FROM audit_events ORDER BY seq"
REQUEST = {
    "priority": "ROUTINE",
    "incident_type": "DOOR_WONT_LATCH",
    "workflow_outcome": "READY_TO_SCHEDULE",
    "note": "The strike plate was moved by two millimetres; the door latches again.",
}


def audit_rows() -> list[dict[str, Any]]:
    """Return one long chain of triage events."""
    head, rows = Chain(None, None, None, REDACTION_KEY), []
    for _ in range(ROWS):
        event = {
            "id": uuid4(),
            "ticket_id": None,
            "tenant_id": "default",
            "command_id": None,
            "actor_type": "HUMAN",
            "actor_id": "dana",
            "actor_role": "dispatcher",
            "tool_name": "ticket.triage",
            "request_id": uuid4(),
            "correlation_id": "c",
            "trace_id": None,
            "before_state": None,
            "after_state": None,
            "policy_bundle_sha256": "0" * 64,
            "payload": {"request": REQUEST},
        }
        row = chained(event, head, datetime.now(UTC))
        head = Chain(row["seq"], row["hash"], row["created_at"], REDACTION_KEY)
        rows.append(row)
    return rows


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the rows per second of the body: by the clock, and of a core of this process alone."""
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    yield
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(
        f"{what:44} {ROWS / wall:>9,.0f} rows/s, {ROWS / cpu:>9,.0f} per core,"
        f" {wall / ROWS * 1e6:6.1f} us a row"
    )


async def fill(url: str, rows: list[dict[str, Any]]) -> None:
    """Put the rows into the table, past its triggers."""
    conn = await asyncpg.connect(url)
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\1" + orjson.dumps(value),
        decoder=bytes,
        format="binary",
    )
    await conn.execute("SET session_replication_role = replica")
    columns = list(rows[0])
    records = [tuple(row.values()) for row in rows]
    await conn.copy_records_to_table("audit_events", records=records, columns=columns)
    await conn.execute("ANALYZE")
    began = time.monotonic()
    await conn.execute(QUEUE)
    print(f"{'queued by Postgres':44} {ROWS / (time.monotonic() - began):>9,.0f} rows/s")
    await conn.close()


async def measure(url: str) -> None:
    """Fill, anchor and verify."""
    pairs = load_bundle().pairs
    await migrate(url, pairs)
    rows = audit_rows()
    await fill(url, rows)
    keys, pool = SigningKeys.read([new_key("bench")]), await create_pool(url, max_size=2)
    with timed("anchored"):
        await Anchoring(pool, keys, None).turn()
    await pool.close()
    chain = ChainCheck()
    with timed("chain verified in memory"):
        events = ({**timeline_shape(row), "hash": row["hash"]} for row in rows)
        faults = [fault for event in events for fault in chain.add(event)]
    log, records = LogVerification(url, keys, None), Verification(url, frozenset(pairs))
    with timed("log verified from Postgres"):
        faults += [fault async for fault in log.faults()]
    with timed("rows and chains verified from Postgres"):
        faults += [fault async for fault in records.faults()]
    if faults or log.rows != ROWS:
        raise SystemExit(f"not whole: {faults[:3]}")


async def main() -> None:
    """Measure on a Postgres of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        cluster = start_cluster(Path(folder) / "postgres")
        try:
            await cluster.execute(*FASTER_THAN_SAFE, "CREATE DATABASE audit")
            await measure(cluster.database_url("audit"))
        finally:
            await asyncio.to_thread(cluster.stop)


if __name__ == "__main__":
    asyncio.run(main())
