"""Uploads in parts: begun with a signed permission for each part, completed when all are there."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from policy.evidence.model import MultipartUpload, SignedPart, Upload, part_sizes
from runtime.objects.s3 import NOT_FOUND, status

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

MOST_PARTS = 100
Sizes = tuple[int, int]
"""The bytes of an upload and of its parts."""


def part_bytes_of(size_bytes: int, smallest: int) -> int:
    """Return the size of a part: the smallest allowed unless there would be too many."""
    return max(smallest, -(-size_bytes // MOST_PARTS))


def begin(
    clients: "tuple[S3Client, S3Client]",
    place: Mapping[str, str],
    content_type: str,
    sizes: Sizes,
    seconds: int,
) -> MultipartUpload:
    """Begin an upload and sign its parts; `clients` are one that asks and one that signs."""
    client, signer = clients
    where: Any = place
    begun = client.create_multipart_upload(**where, ContentType=content_type)
    named = {**place, "UploadId": begun["UploadId"]}
    parts = tuple(
        sign_part(signer, named, number, size, seconds)
        for number, size in enumerate(part_sizes(*sizes), start=1)
    )
    return MultipartUpload(multipart_id=begun["UploadId"], part_bytes=sizes[1], parts=parts)


def sign_part(
    signer: "S3Client", named: Mapping[str, str], number: int, size_bytes: int, seconds: int
) -> SignedPart:
    """Return a permission to put one part of exactly this size."""
    url = signer.generate_presigned_url(
        "upload_part",
        Params={**named, "PartNumber": number, "ContentLength": size_bytes},
        ExpiresIn=seconds,
    )
    headers = {"Content-Length": str(size_bytes)}
    return SignedPart(part_number=number, size_bytes=size_bytes, url=url, headers=headers)


def parts_there(client: "S3Client", upload: Upload) -> dict[int, str] | None:
    """Return the ETags of the parts that are there in full; None if the upload is no more."""
    sizes = dict(enumerate(upload.part_sizes, start=1))
    try:
        found: Any = client.list_parts(**_named(upload), MaxParts=1000)
    except ClientError as error:
        if status(error) == NOT_FOUND:
            return None
        raise
    return {
        part["PartNumber"]: part["ETag"]
        for part in found.get("Parts", [])
        if sizes.get(part["PartNumber"]) == part["Size"]
    }


def complete(client: "S3Client", upload: Upload) -> bool:
    """Put the parts together if all of them are there; return whether that was done.

    An upload that lacks parts stays as it is, so that it can go on.
    """
    there = parts_there(client, upload)
    if there is None or len(there) < len(upload.part_sizes):
        return False
    parts: Any = [{"PartNumber": number, "ETag": there[number]} for number in sorted(there)]
    try:
        client.complete_multipart_upload(**_named(upload), MultipartUpload={"Parts": parts})
    except ClientError as error:
        if status(error) != NOT_FOUND:  # else another finalize was faster
            raise
    return True


def _named(upload: Upload) -> Any:  # noqa: ANN401  arguments of the client
    return {"Bucket": upload.bucket, "Key": upload.object_key, "UploadId": upload.multipart_id}
