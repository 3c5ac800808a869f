"""The object store that holds the evidence (contract 7.10, 9.5). Every outage is a value."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    ParamValidationError,
    ReadTimeoutError,
)

from policy.evidence.model import LookUp, MultipartUpload, SignedPut, StoredObject, Upload
from policy.evidence.uploads import integrity_denial
from policy.rules.bundle import EvidenceRules
from policy.values import truncate_to_milliseconds
from records.evidence import multipart
from records.evidence.accepting import checksum_of, judged, with_inspection
from records.evidence.http_head import HttpHead
from runtime.environment import ConfigurationError, Mode, RetentionMode
from runtime.objects.checksums import base64_of_hex
from runtime.objects.s3 import FORBIDDEN, Fault, S3Access, pinned, status
from runtime.settings import Settings

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

S3_SCHEMES = ("s3", "minio")


def _require_temporary_folder() -> None:
    """Raise `ConfigurationError` where no file can be put aside: each picture would fail later."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ConfigurationError(f"pictures need a writable folder: {error}") from error


class EvidenceStore:
    """The configured object store. Without a bucket it is not configured."""

    def __init__(self, settings: Settings, rules: EvidenceRules) -> None:
        _require_temporary_folder()
        self._settings = settings
        self._rules = rules
        self._limit = settings.evidence_head_timeout_ms / 1000
        self._http = HttpHead(
            schemes=settings.object_store_schemes,
            trusted_hosts=settings.evidence_http_hosts,
            guarded=settings.mode is Mode.PRODUCTION,
            limit_seconds=self._limit,
        )
        self.s3 = S3Access(settings, self._limit)

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
                    return await self.s3.in_thread(lambda: self._head(bucket, key, version_id))
                return await self._http.look_up(uri)
        except TimeoutError:
            return LookUp(failure="HEAD_TIMEOUT", message="no answer in time")

    async def presign(
        self, key: str, content_type: str, size_bytes: int, sha256: str
    ) -> SignedPut | None:
        """Return a signed PUT of exactly this object; None without a store that answers."""
        bucket, client, signer = self._settings.s3_bucket, self.s3.client, self.s3.signer
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
                _assert_all_signed(url, headers)
                parts = self._in_parts((client, signer), key, content_type, size_bytes)
            except Fault:
                return None
            return SignedPut(
                bucket=bucket, url=url, headers=headers, expires_at=expires_at, multipart=parts
            )

        return await self.s3.in_thread(sign)

    async def accept(self, upload: Upload, *, lock: bool = True) -> StoredObject | None:
        """Return what is stored for `upload`, locked and inspected if it is what was announced.

        None when the store cannot be asked, or refuses the lock.
        """
        client = self.s3.client
        if client is None:
            return None
        return await self.s3.in_thread(lambda: self._accept(client, upload, lock=lock))

    def close(self) -> None:
        """Let the threads go; calls under way end by their own time limits."""
        self.s3.close()

    def _in_parts(
        self, clients: "tuple[S3Client, S3Client]", key: str, content_type: str, size_bytes: int
    ) -> MultipartUpload | None:
        if size_bytes < self._rules.multipart_from_bytes:
            return None
        return multipart.begin(
            clients,
            {"Bucket": self.s3.bucket, "Key": key},
            content_type,
            (size_bytes, multipart.part_bytes_of(size_bytes, self._rules.part_bytes)),
            self._settings.evidence_presign_ttl_seconds,
        )

    def _head(self, bucket: str, key: str, version_id: str | None) -> LookUp:
        if self.s3.client is None:
            return LookUp(failure="NETWORK_ERROR", message="no object store is configured")
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            found: Any = self.s3.client.head_object(
                Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version
            )
        except (ConnectTimeoutError, ReadTimeoutError):
            return LookUp(failure="HEAD_TIMEOUT", message="no answer in time")
        except ClientError as error:
            return LookUp(failure="UNREACHABLE_URI", message=f"HTTP {status(error)}")
        except ParamValidationError:
            return LookUp(failure="UNREACHABLE_URI", message="not a name of a bucket and a key")
        except Fault as error:
            return LookUp(failure="NETWORK_ERROR", message=type(error).__name__)
        return LookUp(sha256=checksum_of(found), etag=found.get("ETag"), content_md5=_md5(found))

    def _accept(self, client: "S3Client", upload: Upload, *, lock: bool) -> StoredObject | None:
        try:
            stored = judged(client, upload)
            if lock and integrity_denial(self._rules, upload, stored) is None:
                stored = self._retained(client, upload, stored)
                return with_inspection(client, upload, stored, self._rules)
        except Fault:
            return None
        return stored

    def _retained(self, client: "S3Client", upload: Upload, stored: StoredObject) -> StoredObject:
        mode = self._settings.evidence_retention_mode
        if mode is RetentionMode.NONE:
            return stored
        least = self._rules.retention.days(upload.kind)
        days = timedelta(days=max(self._settings.evidence_retention_days, least))
        until = datetime.now(UTC).replace(microsecond=0) + days
        lock: Any = {"Mode": mode.value, "RetainUntilDate": until}
        client.put_object_retention(
            Bucket=upload.bucket,
            Key=upload.object_key,
            **pinned(stored.version_id),
            Retention=lock,
        )
        return stored.model_copy(update={"retention_until": until})


def _assert_reachable(client: "S3Client", bucket: str) -> None:
    """Raise unless the bucket answers; that it may not be listed is an answer too."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if status(error) != FORBIDDEN:
            raise


def _md5(found: Any) -> str | None:  # noqa: ANN401  the answer of the store
    value: str | None = found["ResponseMetadata"]["HTTPHeaders"].get("content-md5")
    return value


def _assert_all_signed(url: str, headers: dict[str, str]) -> None:
    """Raise unless the signature covers every header: else other bytes could be stored."""
    signed = parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"][0].split(";")
    if set(signed) != {"host", *(name.lower() for name in headers)}:
        raise RuntimeError(f"the store's client signed {signed}")
