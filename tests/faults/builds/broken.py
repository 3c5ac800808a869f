"""Builds that exist for the laboratory alone: `python -m tests.faults.builds.broken NAME`.

Each is the product patched at run time: a next release of the worker, a gateway whose clock jumps,
and three releases that are broken, which the checker must catch.
"""

import asyncio
import importlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any, Self
from unittest.mock import patch

import orjson

import worker.parts
from activities.command.recording import Recorder
from activities.ticket.opening import TicketOpening, open_ticket
from activities.ticket.recording import RECORD
from contracts.statements import SET_TENANT
from runtime.postgres.pool import Connection, Pool, create_pool
from runtime.settings import load_settings
from tests.faults.builds.next_release import NextTicketWorkflow

JUMP = timedelta(hours=1)
JUMP_EVERY_SECONDS = 0.7
LATE_SECONDS = 0.08
STRIP_LOCK = """
DO $do$
DECLARE definition text;
BEGIN
    FOR definition IN SELECT pg_get_functiondef(oid) FROM pg_proc
                       WHERE proname IN ('begin_command', 'lock_chain') LOOP
        EXECUTE regexp_replace(definition, 'PERFORM pg_advisory_xact_lock\\(.*?\\n    \\);', '');
    END LOOP;
END $do$
"""
ALLOW_FORKS = """
ALTER TABLE audit_events DROP CONSTRAINT audit_events_ticket_id_seq_key;
DROP TRIGGER trg_audit_events_unbroken ON audit_events
"""
ALLOW_REPEATS = "DROP INDEX idempotency_keys_once"
NOTHING_DONE: dict[str, Any] = {"ticket": None, "audit": None, "pairs": [], "keep_answer": False}


class SteppingClock(datetime):
    """A clock that jumps by an hour to and fro."""

    @classmethod
    def now(cls, tz: tzinfo | None = UTC) -> Self:
        """Return an hour ago, or an hour ahead."""
        ahead = int(time.monotonic() / JUMP_EVERY_SECONDS) % 2
        return super().now(tz) + (JUMP if ahead else -JUMP)


def step_clock() -> None:
    """Give every module of the gateway the jumping clock."""
    for name, module in list(sys.modules.items()):
        if name.startswith("api.") and getattr(module, "datetime", None) is datetime:
            patch(f"{name}.datetime", SteppingClock).start()


def next_release() -> None:
    """Let the workflow do something more, behind a patch."""
    patch("worker.ticket.TicketWorkflow", NextTicketWorkflow).start()
    patch("worker.parts.OUR_PURE_MODULES", (*worker.parts.OUR_PURE_MODULES, "tests")).start()


def remove_dedupe() -> None:
    """Forget what was decided, and what was answered to a key."""
    next_release()

    async def forgetful(*arguments: Any) -> TicketOpening:  # noqa: ANN401  as they come
        opening = await open_ticket(*arguments)
        return replace(opening, decided=False, stored_hash=None)

    patch("activities.ticket.aggregate.open_ticket", forgetful).start()


def reply_early() -> None:
    """Publish the answer in a transaction of its own, and commit the effect a moment later."""
    next_release()
    original = Recorder._record  # noqa: SLF001  the place to break
    pools: list[Pool] = []

    async def early(
        self: Recorder,
        rows: Mapping[str, Any],
        answer: Mapping[str, Any],
        **document: Any,  # noqa: ANN401  parts
    ) -> None:
        if document["audit"] is not None and document["log"]["tool_name"] != "ticket.create":
            if not pools:
                url = load_settings(os.environ)[0].database_url
                pools.append(await create_pool(url.get_secret_value(), max_size=20))
            async with pools[0].acquire() as conn, conn.transaction():
                await conn.execute(SET_TENANT, document["log"]["tenant_id"])
                text = orjson.dumps(answer).decode()
                await conn.execute(RECORD, {**rows, **document, **NOTHING_DONE}, text)
            await asyncio.sleep(LATE_SECONDS)
        await original(self, rows, answer, **document)

    patch.object(Recorder, "_record", early).start()


async def forget_keys(owner: Connection) -> None:
    """Let a key have more than one answer."""
    await owner.execute(ALLOW_REPEATS)


async def unlock_chains(owner: Connection) -> None:
    """Let two transactions append to one chain at once."""
    await owner.execute(STRIP_LOCK)
    await owner.execute(ALLOW_FORKS)


async def leave(owner: Connection) -> None:
    """Leave the database as it is."""
    del owner


WORKER, GATEWAY = "worker.main", "api.main"
BUILDS: Mapping[str, tuple[str, Callable[[], None]]] = MappingProxyType(
    {
        "next-release": (WORKER, next_release),
        "stepping-clock": (GATEWAY, step_clock),
        "dedupe-removed": (WORKER, remove_dedupe),
        "chain-lock-removed": (WORKER, next_release),
        "reply-before-commit": (WORKER, reply_early),
    }
)
Sabotage = Callable[[Connection], Awaitable[None]]
BROKEN: Mapping[str, Sabotage] = MappingProxyType(
    {
        "dedupe-removed": forget_keys,
        "reply-before-commit": leave,
        "chain-lock-removed": unlock_chains,
    }
)


if __name__ == "__main__":
    name, prepare = BUILDS[sys.argv[1]]
    program = importlib.import_module(name)
    prepare()
    program.main()
