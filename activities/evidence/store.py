"""What the activities ask of the object store."""

from typing import Protocol

from policy.evidence.model import SignedPut, StoredObject, Upload
from records.evidence.look_ups import ReferenceStore


class ObjectStore(ReferenceStore, Protocol):
    """The configured object store. Outages are values, never exceptions."""

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
