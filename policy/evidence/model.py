"""Evidence, its uploads, and what the object store says of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from policy.model import Frozen


class Evidence(Frozen):
    """One row of `evidence_items`."""

    id: UUID
    ticket_id: UUID
    kind: str
    uri: str
    checksum: str | None = None
    metadata: Mapping[str, Any]
    created_by: str | None = None
    created_at: datetime
    content_type: str | None = None
    size_bytes: int | None = None
    object_version_id: str | None = None
    retention_until: datetime | None = None
    is_immutable: bool = False
    immutable_reason: str | None = None
    immutable_by: str | None = None
    immutable_at: datetime | None = None

    @property
    def evidence_key(self) -> str | None:
        """The requirement that this item answers, if it names one."""
        key = self.metadata.get("evidence_key")
        return key if isinstance(key, str) and key else None


class SignedPut(Frozen):
    """A presigned PUT; `headers` are exactly what the client must send."""

    bucket: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime
    multipart: "MultipartUpload | None" = None


class SignedPart(Frozen):
    """A permission to put one part, numbered from 1."""

    part_number: int
    size_bytes: int
    url: str
    headers: Mapping[str, str]


class MultipartUpload(Frozen):
    """An upload in parts that the store has begun."""

    multipart_id: str
    part_bytes: int
    parts: tuple[SignedPart, ...]


class SignedUpload(SignedPut):
    """A permission to put one announced object into the store."""

    upload_id: UUID
    object_key: str


class Upload(Frozen):
    """An announced upload of the ticket, as stored."""

    id: UUID
    ticket_id: UUID | None = None
    bucket: str
    object_key: str
    kind: str
    evidence_key: str | None
    content_type: str
    size_bytes: int
    sha256: str
    evidence_item_id: UUID | None
    multipart_id: str | None = None
    part_bytes: int | None = None
    created_at: datetime | None = None
    abandoned: bool = False

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """The sizes of the parts, in order; none if the upload does not come in parts."""
        return part_sizes(self.size_bytes, self.part_bytes) if self.part_bytes else ()

    @property
    def uri(self) -> str:
        """The reference that evidence of this upload has."""
        return f"s3://{self.bucket}/{self.object_key}"


def part_sizes(size_bytes: int, part_bytes: int) -> tuple[int, ...]:
    """Return the sizes of the parts of an upload."""
    whole, rest = divmod(size_bytes, part_bytes)
    return (part_bytes,) * whole + ((rest,) if rest else ())


class StoredObject(Frozen):
    """What the store holds under the key of an upload; without a size, nothing.

    An object of another size is not hashed. `retention_until` is set if the store locked it;
    `sniffed_type` is what its first bytes show, `inspection` what was seen in an image.
    """

    size_bytes: int | None = None
    sha256: str | None = None
    content_type: str | None = None
    version_id: str | None = None
    retention_until: datetime | None = None
    sniffed_type: str | None = None
    inspection: Mapping[str, Any] = Field(default_factory=dict)


class LookUp(Frozen):
    """What looking a uri up found: nothing wrong, or the failure code of contract 9.5."""

    failure: str | None = None
    message: str | None = None
    sha256: str | None = None
    etag: str | None = None
    content_md5: str | None = None
