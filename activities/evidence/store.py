"""What the activities ask of the object store, and looking references up there (contract 9.5)."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from policy.evidence.model import LookUp, SignedPut, StoredObject, Upload

# All look-ups of one command together; what is not known by then counts as unanswered.
TOTAL_LIMIT_SECONDS = 20
UNANSWERED = LookUp(failure="HEAD_TIMEOUT", message="too many references did not answer in time")


class ObjectStore(Protocol):
    """The configured object store. Outages are values, never exceptions."""

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what is stored under `uri`."""
        ...

    async def presign(
        self, key: str, content_type: str, size_bytes: int, sha256: str
    ) -> SignedPut | None:
        """Return a signed PUT of exactly this object; None without a store that answers."""
        ...

    async def accept(self, upload: Upload, *, lock: bool = True) -> StoredObject | None:
        """Return what is stored for `upload`, locked and inspected if it is what was announced.

        None when the store cannot be asked, or refuses the lock.
        """
        ...


async def look_up_all(
    store: ObjectStore, versions: Mapping[str, str | None]
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
