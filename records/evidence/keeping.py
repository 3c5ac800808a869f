"""Evidence once it is stored: links to it, re-hashing, holds, derived objects, and sweeping."""

import mimetypes
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from policy.evidence.model import SignedPart, Upload
from policy.evidence.references import place_of
from policy.values import truncate_to_milliseconds
from records.evidence import multipart
from runtime.objects.checksums import base64_of_hex
from runtime.objects.s3 import (
    FORBIDDEN,
    NOT_FOUND,
    Fault,
    Reading,
    S3Access,
    pinned,
    read_whole,
    status,
)

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

T = TypeVar("T")
PREFIX = "evidence/"
NO_BUCKET = "NoSuchBucket"


class StoreUnavailableError(Exception):
    """The store is not configured, or did not answer."""


class Unread(StrEnum):
    """Why an object could not be read although the store answers."""

    NOT_FOUND = "OBJECT_NOT_FOUND"
    REFUSED = "OBJECT_UNREADABLE"


class Link(NamedTuple):
    """A signed link that ends soon."""

    url: str
    expires_at: datetime


class Progress(NamedTuple):
    """How far an upload is: the parts that are there, and permissions for those that are not."""

    received: bool
    parts_received: frozenset[int]
    missing: tuple[SignedPart, ...]
    expires_at: datetime


class EvidenceVault:
    """What is done with stored evidence. An outage is a `StoreUnavailableError`."""

    def __init__(self, access: S3Access) -> None:
        self._s3 = access

    @property
    def bucket(self) -> str:
        """The bucket that is ours."""
        return self._s3.bucket

    async def link(self, uri: str, version_id: str | None, name: str, seconds: int) -> Link:
        """Return a link to download one version; the browser saves it under `name`."""
        signer, place = self._s3.signer, _named(uri)
        if signer is None:
            raise StoreUnavailableError
        expires_at = truncate_to_milliseconds(datetime.now(UTC) + timedelta(seconds=seconds))
        params = {
            **place,
            **pinned(version_id),
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }
        url = signer.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds)
        return Link(url, expires_at)

    async def progress(self, upload: Upload, seconds: int, *, sign: bool) -> Progress:
        """Return how far an upload is; with `sign`, fresh permissions for missing parts."""
        signer = self._s3.signer

        def ask(client: "S3Client") -> Progress:
            expires_at = truncate_to_milliseconds(datetime.now(UTC) + timedelta(seconds=seconds))
            numbers = range(1, len(upload.part_sizes) + 1)
            there = multipart.parts_there(client, upload) if upload.multipart_id else None
            received = _is_there(client, _named(upload.uri))
            have = frozenset(numbers if received else there or ())
            missing: tuple[SignedPart, ...] = ()
            if sign and signer is not None and there is not None and not received:
                named = {**_named(upload.uri), "UploadId": upload.multipart_id or ""}
                missing = tuple(
                    multipart.sign_part(signer, named, number, size, seconds)
                    for number, size in zip(numbers, upload.part_sizes, strict=True)
                    if number not in have
                )
            return Progress(received, have, missing, expires_at)

        return await self._asked(ask)

    async def read(self, uri: str, version_id: str | None) -> Reading | Unread:
        """Return what is stored, read as a whole, or why it cannot be."""
        place = {**_named(uri), **pinned(version_id)}
        return await self._asked(lambda client: _read(client, place))

    async def set_hold(self, uri: str, version_id: str | None, *, on: bool) -> None:
        """Place or release the store's legal hold on one version."""
        held: Any = {"Status": "ON" if on else "OFF"}
        where: Any = {**_named(uri), **pinned(version_id)}
        await self._asked(lambda client: client.put_object_legal_hold(**where, LegalHold=held))

    async def put(
        self, key: str, content_type: str, content: IO[bytes], sha256: str
    ) -> tuple[str, str | None]:
        """Store an object, if it arrives with this digest, and return its uri and version."""

        def write(client: "S3Client") -> str | None:
            kept: Any = client.put_object(
                Bucket=self._s3.bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                ChecksumSHA256=base64_of_hex(sha256),
            )
            return str(kept["VersionId"]) if "VersionId" in kept else None

        return f"s3://{self._s3.bucket}/{key}", await self._asked(write)

    async def remove(self, uri: str) -> bool:
        """Remove every version under a uri; return False where the store's lock keeps one."""
        return await self._asked(lambda client: _remove(client, _named(uri)))

    async def abort_stale(self, before: datetime) -> int:
        """Abort every upload in parts that began before an instant; return how many those were.

        One that is complete is none any more.
        """
        return await self._asked(lambda client: _abort(client, self._s3.bucket, before))

    async def _asked(self, question: "Callable[[S3Client], T]") -> T:
        client = self._s3.client
        if client is None:
            raise StoreUnavailableError
        try:
            return await self._s3.in_thread(lambda: question(client))
        except Fault as error:
            raise StoreUnavailableError(type(error).__name__) from error


def file_name(stem: str, content_type: str | None) -> str:
    """Return a name that a download is saved under."""
    return stem + (mimetypes.guess_extension(content_type or "") or ".bin")


def _named(uri: str) -> dict[str, str]:
    """Return bucket and key of a reference into the store, as its client takes them."""
    place = place_of(uri)
    if place is None:
        raise ValueError("no reference into an object store")
    return {"Bucket": place.bucket, "Key": place.key}


def _read(client: "S3Client", place: Any) -> Reading | Unread:  # noqa: ANN401  arguments
    """Read an object, twice if need be.

    What is refused while its bucket answers is no outage: a client may write any reference, and
    none may keep the others from being read.
    """
    for _ in range(2):
        try:
            return read_whole(client, place)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == NO_BUCKET:
                raise
            if status(error) == NOT_FOUND:
                return Unread.NOT_FOUND
        except ParamValidationError:
            return Unread.NOT_FOUND
        except BotoCoreError:
            pass
        client.head_bucket(Bucket=place["Bucket"])
    return Unread.REFUSED


def _is_there(client: "S3Client", place: Any) -> bool:  # noqa: ANN401  arguments of the client
    try:
        client.head_object(**place)
    except ClientError as error:
        if status(error) == NOT_FOUND:
            return False
        raise
    return True


def _remove(client: "S3Client", place: dict[str, str]) -> bool:
    free = True
    try:
        versions = list(_versions(client, place))
    except ClientError as error:
        if status(error) != NOT_FOUND:
            raise
        return True  # the bucket itself is gone
    for version in versions:
        try:
            client.delete_object(**version)
        except ClientError as error:
            if status(error) != FORBIDDEN:
                raise
            free = False
    return free


def _versions(client: "S3Client", place: dict[str, str]) -> Iterator[Any]:
    pages = client.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=place["Bucket"], Prefix=place["Key"]):
        listed: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        for version in listed:
            if version["Key"] == place["Key"]:
                yield {**place, "VersionId": version["VersionId"]}


def _abort(client: "S3Client", bucket: str, before: datetime) -> int:
    count = 0
    pages = client.get_paginator("list_multipart_uploads")
    for page in pages.paginate(Bucket=bucket, Prefix=PREFIX):
        for upload in page.get("Uploads", []):
            if upload["Initiated"] < before:
                client.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                count += 1
    return count
