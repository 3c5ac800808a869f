"""What the store holds under the key of an upload, as far as finalizing must know it (7.10)."""

import hashlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from policy.evidence.model import StoredObject, Upload
from policy.evidence.sniffing import HEAD_BYTES, sniffed_type
from policy.evidence.uploads import derived_key
from policy.rules.bundle import EvidenceRules
from records.evidence import multipart
from records.evidence.inspection import Decoder
from runtime.objects.checksums import base64_of_hex, hex_of_base64
from runtime.objects.s3 import NOT_FOUND, pinned, read_whole, status

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

UNVERSIONED = "null"
THUMBNAIL = "thumbnail.jpg"
THUMBNAIL_TYPE = "image/jpeg"


def judged(client: "S3Client", upload: Upload) -> StoredObject:
    """Return the newest version under the upload's key; what has another size is not hashed.

    Parts that are all there are put together first.
    """
    place: Any = {"Bucket": upload.bucket, "Key": upload.object_key}
    found = _head(client, place)
    if found is None and upload.multipart_id and multipart.complete(client, upload):
        found = _head(client, place)
    if found is None:
        return StoredObject()
    version = found.get("VersionId")
    version = None if version == UNVERSIONED else version
    exact = {**place, **pinned(version), "IfMatch": found["ETag"]}
    digest = head = None
    if found["ContentLength"] == upload.size_bytes:
        digest = checksum_of(found) or read_whole(client, exact).sha256
        last = min(HEAD_BYTES, upload.size_bytes) - 1
        head = client.get_object(**exact, Range=f"bytes=0-{last}")["Body"].read()
    return StoredObject(
        size_bytes=found["ContentLength"],
        sha256=digest,
        content_type=found.get("ContentType"),
        version_id=version,
        sniffed_type=None if head is None else sniffed_type(head),
    )


def with_inspection(
    client: "S3Client", upload: Upload, stored: StoredObject, rules: EvidenceRules
) -> StoredObject:
    """Return an accepted object with what it shows, if it is an image; keep its thumbnail.

    No decoder takes bytes that do not begin like their type.
    """
    if not upload.content_type.startswith("image/") or stored.sniffed_type != upload.content_type:
        return stored
    place: Any = {"Bucket": upload.bucket, "Key": upload.object_key, **pinned(stored.version_id)}
    with Decoder(rules.images) as decoder:
        seen, thumbnail = decoder.show(
            upload.content_type, upload.size_bytes, lambda file: read_whole(client, place, file)
        )
    if isinstance(thumbnail, bytes):
        seen["thumbnail"] = _keep(client, upload, thumbnail)
    return stored.model_copy(update={"inspection": seen})


def _keep(client: "S3Client", upload: Upload, thumbnail: bytes) -> dict[str, str]:
    """Store a thumbnail and return how the evidence refers to it."""
    key, digest = derived_key(upload.object_key, THUMBNAIL), hashlib.sha256(thumbnail).hexdigest()
    client.put_object(
        Bucket=upload.bucket,
        Key=key,
        Body=thumbnail,
        ContentType=THUMBNAIL_TYPE,
        ChecksumSHA256=base64_of_hex(digest),
    )
    uri = f"s3://{upload.bucket}/{key}"
    return {"uri": uri, "content_type": THUMBNAIL_TYPE, "sha256": digest}


def checksum_of(found: Any) -> str | None:  # noqa: ANN401  the answer of the store
    """Return the SHA-256 of the whole object, if the store keeps it."""
    if found.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    return hex_of_base64(found.get("ChecksumSHA256"))


def _head(client: "S3Client", place: Any) -> Any:  # noqa: ANN401  the answer of the store
    try:
        return client.head_object(**place, ChecksumMode="ENABLED")
    except ClientError as error:
        if status(error) == NOT_FOUND:
            return None
        raise
