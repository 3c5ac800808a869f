"""Look-ups of evidence references at the object store, outside any transaction (contract 9.5)."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from policy.facts import LookUp


class ReferenceStore(Protocol):
    """Where references are looked up."""

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what is stored under `uri`; every failure is a value."""
        ...


async def look_up_all(
    store: ReferenceStore, references: Iterable[tuple[str, str | None]]
) -> Mapping[str, LookUp]:
    """Return what was found for each distinct uri, looked up once each."""
    distinct = dict(references)
    found = await asyncio.gather(*(store.head(uri, version) for uri, version in distinct.items()))
    return dict(zip(distinct, found, strict=True))
