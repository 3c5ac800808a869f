"""The S3 clients of a process, their threads, and what every user of them shares."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.settings import Settings

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

T = TypeVar("T")
THREADS = 32
CHUNK_BYTES = 1 << 16
"""What is read at a time: larger pieces stay behind in the memory of every thread that read."""
FORBIDDEN = 403
NOT_FOUND = 404
Fault = (BotoCoreError, ClientError, OSError)


class S3Access:
    """The clients of the configured store; without a bucket there are none.

    `client` talks to the store, `signer` signs for the address that clients of ours use. Calls
    run in threads of their own, as many as look-ups of one command may wait at once.
    """

    def __init__(self, settings: Settings, limit_seconds: float) -> None:
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="evidence-store")
        self.bucket = settings.s3_bucket or ""
        self.client: S3Client | None = None
        self.signer: S3Client | None = None
        if settings.s3_bucket:
            self.client = s3_client(settings, settings.s3_endpoint_url, limit_seconds)
            self.signer = s3_client(settings, settings.s3_public_endpoint_url, limit_seconds)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, from a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    def close(self) -> None:
        """Let the threads go; calls under way end by their own time limits."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def pinned(version_id: str | None) -> Any:  # noqa: ANN401  an argument that may be left out
    """Return the argument that names a version, if one is named."""
    return {"VersionId": version_id} if version_id else {}


def status(error: ClientError) -> int:
    """Return the HTTP status of a refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


class Reading(NamedTuple):
    """What an object is, read as a whole."""

    sha256: str
    size_bytes: int


def read_whole(
    client: "S3Client",
    place: Any,  # noqa: ANN401  arguments of get_object
    copy: IO[bytes] | None = None,
) -> Reading:
    """Read an object in pieces; `copy` receives the bytes on the way."""
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in client.get_object(**place)["Body"].iter_chunks(CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
        if copy is not None:
            copy.write(chunk)
    return Reading(digest.hexdigest(), size_bytes)


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
