"""The metrics sink: the JSON snapshot in a file, replaced after changes (contract 15.5)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import structlog

from api.ops.metrics import json_metrics
from api.wire.counters import Counters

INTERVAL_SECONDS = 0.25
log = structlog.get_logger()


@asynccontextmanager
async def metrics_sink(path: Path | None, counters: Counters) -> AsyncIterator[None]:
    """Keep the file true while the context lasts; without a path there is nothing to do."""
    if path is None:
        yield
        return
    ended = asyncio.Event()
    task = asyncio.create_task(_keep(path, counters, ended))
    try:
        yield
    finally:
        ended.set()  # not cancelled: a replacement under way would go on in its thread
        await task
        _replace(path, json_metrics(counters))


async def _keep(path: Path, counters: Counters, ended: asyncio.Event) -> None:
    written = -1
    while not ended.is_set():
        if counters.changes != written:
            written = counters.changes
            await asyncio.to_thread(_replace, path, json_metrics(counters))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), INTERVAL_SECONDS)


def _replace(path: Path, snapshot: dict[str, Any]) -> None:
    """Replace the file in one step; a sink that fails never fails a request."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(orjson.dumps(snapshot))
        fresh.replace(path)
    except OSError as error:
        log.warning("metrics_sink.failed", reason=str(error))
