"""Looking evidence references up: all of one question at once, each once (contract 9.5)."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from policy.evidence.model import LookUp

# All look-ups of one question together; what is not known by then counts as unanswered.
TOTAL_LIMIT_SECONDS = 20
UNANSWERED = LookUp(failure="HEAD_TIMEOUT", message="too many references did not answer in time")


class ReferenceStore(Protocol):
    """Where evidence references are looked up."""

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what is stored under `uri`; every failure is a value."""
        ...


async def look_up_all(
    store: ReferenceStore, versions: Mapping[str, str | None]
) -> Mapping[str, LookUp]:
    """Return what was found for each uri of `versions`, looked up once each."""
    tasks = {
        uri: asyncio.create_task(store.head(uri, version)) for uri, version in versions.items()
    }
    if tasks:
        await asyncio.wait(tasks.values(), timeout=TOTAL_LIMIT_SECONDS)
    found = {uri: task.result() if task.done() else UNANSWERED for uri, task in tasks.items()}
    for task in tasks.values():
        task.cancel()
    return found
