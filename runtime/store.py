"""The object store that holds the evidence (contract 7.10, 9.5). Every outage is a value."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ParamValidationError,
    ReadTimeoutError,
)

from policy.facts import LookUp, SignedPut, StoredObject, Upload
from policy.uploads import integrity_denial
from policy.values import truncate_to_milliseconds
from runtime.checksums import base64_of_hex, hex_of_base64
from runtime.environment import Mode, RetentionMode
from runtime.http_head import HttpHead
from runtime.settings import Settings

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

T = TypeVar("T")
S3_SCHEMES = ("s3", "minio")
THREADS = 32
CHUNK_BYTES = 1 << 20
FORBIDDEN = 403
NOT_FOUND = 404
UNVERSIONED = "null"
Fault = (BotoCoreError, ClientError, OSError)


class EvidenceStore:
    """The configured object store. Without a bucket it is not configured.

    Calls run in threads of its own, as many as look-ups of one command may wait at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.evidence_head_timeout_ms / 1000
        self._http = HttpHead(
            schemes=settings.object_store_schemes,
            trusted_hosts=settings.evidence_http_hosts,
            guarded=settings.mode is Mode.PRODUCTION,
            limit_seconds=self._limit,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="evidence-store")
        self._client: S3Client | None = None
        self._signer: S3Client | None = None
        if settings.s3_bucket:
            self._client = s3_client(settings, settings.s3_endpoint_url, self._limit)
            self._signer = s3_client(settings, settings.s3_public_endpoint_url, self._limit)

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what is stored under `uri`, of the pinned version where there is one."""
        scheme, _, rest = uri.partition("://")
        scheme = scheme.lower()
        if scheme not in self._settings.object_store_schemes:
            return LookUp(failure="UNSUPPORTED_SCHEME", message=f"scheme {scheme} is not allowed")
        try:
            async with asyncio.timeout(self._limit):
                if scheme in S3_SCHEMES:
                    bucket, _, key = rest.partition("/")
                    return await self._in_thread(lambda: self._head(bucket, key, version_id))
                return await self._http.look_up(uri)
        except TimeoutError:
            return LookUp(failure="HEAD_TIMEOUT", message="no answer in time")

    async def presign(
        self, key: str, content_type: str, size_bytes: int, sha256: str
    ) -> SignedPut | None:
        """Return a signed PUT of exactly this object; None without a store that answers."""
        bucket, client, signer = self._settings.s3_bucket, self._client, self._signer
        if bucket is None or client is None or signer is None:
            return None
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(size_bytes),
            "x-amz-checksum-sha256": base64_of_hex(sha256),
        }
        lifetime = timedelta(seconds=self._settings.evidence_presign_ttl_seconds)
        expires_at = truncate_to_milliseconds(datetime.now(UTC) + lifetime)

        def sign() -> SignedPut | None:
            try:
                _assert_reachable(client, bucket)
                url = signer.generate_presigned_url(
                    "put_object",
                    Params={
                        "Bucket": bucket,
                        "Key": key,
                        "ContentType": content_type,
                        "ContentLength": size_bytes,
                        "ChecksumSHA256": headers["x-amz-checksum-sha256"],
                    },
                    ExpiresIn=self._settings.evidence_presign_ttl_seconds,
                )
            except Fault:
                return None
            _assert_all_signed(url, headers)
            return SignedPut(bucket=bucket, url=url, headers=headers, expires_at=expires_at)

        return await self._in_thread(sign)

    async def accept(self, upload: Upload) -> StoredObject | None:
        """Return what is stored for `upload`, locked if it is what was announced.

        None when the store cannot be asked, or refuses the lock.
        """
        client = self._client
        if client is None:
            return None
        return await self._in_thread(lambda: self._accept(client, upload))

    def close(self) -> None:
        """Let the threads go; calls under way end by their own time limits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _head(self, bucket: str, key: str, version_id: str | None) -> LookUp:
        if self._client is None:
            return LookUp(failure="NETWORK_ERROR", message="no object store is configured")
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            found: Any = self._client.head_object(
                Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version
            )
        except (ConnectTimeoutError, ReadTimeoutError):
            return LookUp(failure="HEAD_TIMEOUT", message="no answer in time")
        except ClientError as error:
            return LookUp(failure="UNREACHABLE_URI", message=f"HTTP {_status(error)}")
        except ParamValidationError:
            return LookUp(failure="UNREACHABLE_URI", message="not a name of a bucket and a key")
        except Fault as error:
            return LookUp(failure="NETWORK_ERROR", message=type(error).__name__)
        return LookUp(sha256=_checksum(found), etag=found.get("ETag"), content_md5=_md5(found))

    def _accept(self, client: "S3Client", upload: Upload) -> StoredObject | None:
        try:
            stored = _inspect(client, upload)
            if integrity_denial(upload, stored) is None:
                return self._retained(client, upload, stored)
        except Fault:
            return None
        return stored

    def _retained(self, client: "S3Client", upload: Upload, stored: StoredObject) -> StoredObject:
        mode = self._settings.evidence_retention_mode
        if mode is RetentionMode.NONE:
            return stored
        days = timedelta(days=self._settings.evidence_retention_days)
        until = datetime.now(UTC).replace(microsecond=0) + days
        lock: Any = {"Mode": mode.value, "RetainUntilDate": until}
        client.put_object_retention(
            Bucket=upload.bucket,
            Key=upload.object_key,
            **_pinned(stored.version_id),
            Retention=lock,
        )
        return stored.model_copy(update={"retention_until": until})


def s3_client(settings: Settings, endpoint_url: str | None, limit: float) -> "S3Client":
    """Return a client of the configured store that waits `limit` seconds for an answer."""
    secret = settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            connect_timeout=limit,
            read_timeout=limit,
            retries={"total_max_attempts": 1},
            max_pool_connections=THREADS,
            # Nothing but what a presigned request names may be part of its signature.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _assert_reachable(client: "S3Client", bucket: str) -> None:
    """Raise unless the bucket answers; that it may not be listed is an answer too."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _status(error) != FORBIDDEN:
            raise


def _inspect(client: "S3Client", upload: Upload) -> StoredObject:
    """Return the newest version under the upload's key; what has another size is not hashed."""
    place: Any = {"Bucket": upload.bucket, "Key": upload.object_key}
    try:
        found: Any = client.head_object(**place, ChecksumMode="ENABLED")
    except ClientError as error:
        if _status(error) == NOT_FOUND:
            return StoredObject()
        raise
    version = found.get("VersionId")
    version = None if version == UNVERSIONED else version
    digest = None
    if found["ContentLength"] == upload.size_bytes:
        digest = _checksum(found)
        if digest is None:
            digest = _hashed(client, {**place, **_pinned(version), "IfMatch": found["ETag"]})
    return StoredObject(
        size_bytes=found["ContentLength"],
        sha256=digest,
        content_type=found.get("ContentType"),
        version_id=version,
    )


def _hashed(client: "S3Client", place: Any) -> str:  # noqa: ANN401  arguments of get_object
    digest = hashlib.sha256()
    for chunk in client.get_object(**place)["Body"].iter_chunks(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _pinned(version_id: str | None) -> Any:  # noqa: ANN401  an argument that may be left out
    return {"VersionId": version_id} if version_id else {}


def _checksum(found: Any) -> str | None:  # noqa: ANN401  the answer of the store
    if found.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    return hex_of_base64(found.get("ChecksumSHA256"))


def _md5(found: Any) -> str | None:  # noqa: ANN401  the answer of the store
    value: str | None = found["ResponseMetadata"]["HTTPHeaders"].get("content-md5")
    return value


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _assert_all_signed(url: str, headers: dict[str, str]) -> None:
    """Raise unless the signature covers every header: else other bytes could be stored."""
    signed = parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"][0].split(";")
    if set(signed) != {"host", *(name.lower() for name in headers)}:
        raise RuntimeError(f"the store's client signed {signed}")
