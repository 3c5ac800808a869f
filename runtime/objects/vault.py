"""Objects of the installation's own: written once, locked where the bucket can, read back."""

import asyncio
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from policy.evidence.references import place_of
from runtime.environment import RetentionMode
from runtime.objects.s3 import s3_client
from runtime.settings import Settings

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

LIMIT_SECONDS = 10.0
UNSUPPORTED = (404, 501)
TAKEN = ("PreconditionFailed", "412")
ABSENT = ("NoSuchKey", "NoSuchVersion", "404")
VAULT_FAULTS = (BotoCoreError, ClientError, OSError)
"""What is raised while the object store is out of reach, or refuses."""


class TooLargeError(Exception):
    """The object is larger than the caller can take."""


class TakenError(Exception):
    """Other bytes are stored under this key already."""


@dataclass(frozen=True)
class Kept:
    """Where an object is."""

    uri: str
    version_id: str | None
    retention_until: datetime | None


class Version(NamedTuple):
    """One version of an object; a delete marker has no `etag`, which else may be the bytes' MD5."""

    key: str
    version_id: str
    etag: str


class Vault:
    """The configured bucket, for objects that are never replaced."""

    def __init__(self, settings: Settings, bucket: str) -> None:
        self._settings = settings
        self.bucket = bucket

    async def keep(self, key: str, content: bytes, content_type: str) -> Kept:
        """Store an object, locked where the bucket has Object Lock. Safe to repeat.

        Raises `TakenError` if other bytes are there, and what is in `VAULT_FAULTS`.
        """
        return await asyncio.to_thread(self._keep, key, content, content_type)

    def key_of(self, uri: str) -> str | None:
        """Return the key that a reference has in this bucket.

        None if it leads elsewhere, or may: a key with `..` in it is another to whoever resolves it.
        """
        place = place_of(uri)
        if place is None or place.bucket != self.bucket or place.key != place.normal_key:
            return None
        return place.key

    async def read(
        self, key: str, version_id: str | None = None, most_bytes: int | None = None
    ) -> bytes:
        """Return an object's bytes; raises `TooLargeError` or what is in `VAULT_FAULTS`."""
        return await asyncio.to_thread(self._read, key, version_id, most_bytes)

    async def versions(self, prefix: str) -> list[Version]:
        """Return all versions and delete markers under a prefix; of a key the newest is first."""
        return await asyncio.to_thread(self._versions, prefix)

    @cached_property
    def client(self) -> "S3Client":
        """The store's client."""
        return s3_client(self._settings, self._settings.s3_endpoint_url, LIMIT_SECONDS)

    @cached_property
    def _lock_mode(self) -> RetentionMode:
        """The configured mode; without one, the mild one if the bucket can lock at all."""
        if self._settings.evidence_retention_mode is not RetentionMode.NONE:
            return self._settings.evidence_retention_mode
        try:
            found = self.client.get_object_lock_configuration(Bucket=self.bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in UNSUPPORTED:
                raise
            return RetentionMode.NONE
        enabled = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        return RetentionMode.GOVERNANCE if enabled else RetentionMode.NONE

    def _keep(self, key: str, content: bytes, content_type: str) -> Kept:
        uri, lock, until = f"s3://{self.bucket}/{key}", {}, None
        if self._lock_mode is not RetentionMode.NONE:
            days = timedelta(days=self._settings.evidence_retention_days)
            until = datetime.now(UTC).replace(microsecond=0) + days
            lock = {"ObjectLockMode": self._lock_mode.value, "ObjectLockRetainUntilDate": until}
        options: Any = lock
        try:
            stored = self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
                **options,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in TAKEN:
                raise
            if self._read(key, None, None) != content:
                raise TakenError(uri) from error
            return self._found(key, uri)
        return Kept(uri, stored.get("VersionId"), until)

    def _found(self, key: str, uri: str) -> Kept:
        head = self.client.head_object(Bucket=self.bucket, Key=key)
        return Kept(uri, head.get("VersionId"), head.get("ObjectLockRetainUntilDate"))

    def _read(self, key: str, version_id: str | None, most_bytes: int | None) -> bytes:
        pinned: Any = {"VersionId": version_id} if version_id else {}
        found = self.client.get_object(Bucket=self.bucket, Key=key, **pinned)
        with closing(found["Body"]) as body:
            if most_bytes is not None and found["ContentLength"] > most_bytes:
                raise TooLargeError(key)
            return body.read()

    def _versions(self, prefix: str) -> list[Version]:
        found: list[Any] = []
        pages = self.client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            # Times are whole seconds: within one, a marker came after what it hides.
            found += [*page.get("DeleteMarkers", []), *page.get("Versions", [])]
        found.sort(key=lambda each: each["LastModified"], reverse=True)
        return [
            Version(each["Key"], each["VersionId"], each.get("ETag", "").strip('"'))
            for each in found
        ]


def is_absent(fault: Exception) -> bool:
    """Whether a fault of the vault says that there is no such object."""
    return isinstance(fault, ClientError) and fault.response["Error"]["Code"] in ABSENT


def open_vault(settings: Settings) -> Vault | None:
    """Return the vault, None without a bucket."""
    return Vault(settings, settings.s3_bucket) if settings.s3_bucket else None
