"""The evidence store on a real S3 server: announced bytes, pinned versions, locks and outages."""

import hashlib
import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from policy.evidence.model import SignedPut, Upload
from policy.rules.bundle import load_bundle
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.objects.checksums import base64_of_hex, hex_of_base64
from runtime.postgres.pool import Connection, Pool
from runtime.settings import Settings
from tests.integration.command.command_runner import build_runner
from tests.integration.servers.s3_fixture import BUCKET

pytest_plugins = [
    "tests.integration.servers.postgres_fixture",
    "tests.integration.servers.s3_fixture",
]

BYTES = b"a photo of a latch"
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def store(s3_settings: Settings) -> Iterator[EvidenceStore]:
    opened = EvidenceStore(s3_settings, installed_bundle(s3_settings).evidence)
    yield opened
    opened.close()


@pytest.fixture
def client(s3_settings: Settings) -> Any:  # noqa: ANN401  a boto3 client
    secret = s3_settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=s3_settings.s3_endpoint_url,
        region_name=s3_settings.s3_region,
        aws_access_key_id=s3_settings.s3_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )


def upload(**fields: Any) -> Upload:  # noqa: ANN401  columns
    columns: dict[str, Any] = {
        "id": uuid4(),
        "bucket": BUCKET,
        "object_key": f"evidence/default/{uuid4()}/{SHA256}",
        "kind": "PHOTO",
        "evidence_key": None,
        "content_type": "image/jpeg",
        "size_bytes": len(BYTES),
        "sha256": SHA256,
        "evidence_item_id": None,
    }
    return Upload(**columns | fields)


async def signed(store: EvidenceStore, announced: Upload) -> SignedPut:
    permission = await store.presign(
        announced.object_key, announced.content_type, announced.size_bytes, announced.sha256
    )
    assert permission is not None
    return permission


async def put(permission: SignedPut, body: bytes, **headers: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as web:
        sent = {**permission.headers, **headers}
        return (await web.put(permission.url, content=body, headers=sent)).status_code


async def test_exactly_the_announced_bytes_can_be_put(store: EvidenceStore) -> None:
    announced = upload()
    permission = await signed(store, announced)
    assert set(permission.headers) == {"Content-Type", "Content-Length", "x-amz-checksum-sha256"}
    other = BYTES[:-1] + b"!"
    assert await put(permission, other) == 400
    assert await put(permission, BYTES, **{"Content-Type": "text/plain"}) == 403
    digest = base64_of_hex(hashlib.sha256(other).hexdigest())
    assert await put(permission, other, **{"x-amz-checksum-sha256": digest}) == 403
    assert await store.accept(announced) is not None
    assert await put(permission, BYTES) == 200


async def test_an_accepted_object_is_pinned_and_locked(store: EvidenceStore, client: Any) -> None:  # noqa: ANN401
    announced = upload()
    await put(await signed(store, announced), BYTES)
    stored = await store.accept(announced)
    assert stored is not None
    assert (stored.size_bytes, stored.sha256) == (len(BYTES), SHA256)
    assert stored.content_type == "image/jpeg"
    place = {"Bucket": BUCKET, "Key": announced.object_key, "VersionId": stored.version_id}
    head = client.head_object(**place)
    assert head["ObjectLockRetainUntilDate"] == stored.retention_until
    with pytest.raises(ClientError):
        client.delete_object(**place)


async def test_an_object_that_differs_is_neither_hashed_nor_locked(
    store: EvidenceStore,
    client: Any,  # noqa: ANN401
) -> None:
    announced = upload()
    place = {"Bucket": BUCKET, "Key": announced.object_key}
    missing = await store.accept(announced)
    assert missing is not None
    assert missing.size_bytes is None
    client.put_object(**place, Body=b"x", ContentType="image/jpeg")
    shorter = await store.accept(announced)
    assert shorter is not None
    assert (shorter.size_bytes, shorter.sha256, shorter.retention_until) == (1, None, None)


async def test_an_object_without_a_checksum_is_read_and_hashed(
    store: EvidenceStore,
    client: Any,  # noqa: ANN401
) -> None:
    announced = upload(bucket="plain")
    client.create_bucket(Bucket="plain")
    body = {"Body": BYTES, "ContentType": "image/jpeg"}
    client.put_object(Bucket="plain", Key=announced.object_key, **body)
    assert await store.accept(announced) is None  # the plain bucket refuses the lock
    stored = await store.accept(announced.model_copy(update={"content_type": "text/plain"}))
    assert stored is not None
    assert (stored.sha256, stored.version_id) == (SHA256, None)


async def test_references_are_looked_up_with_their_version_and_checksum(
    store: EvidenceStore,
) -> None:
    announced = upload()
    await put(await signed(store, announced), BYTES)
    stored = await store.accept(announced)
    assert stored is not None
    for scheme in ("s3", "minio", "S3"):
        uri = f"{scheme}://{BUCKET}/{announced.object_key}"
        found = await store.head(uri, stored.version_id)
        assert (found.failure, found.sha256) == (None, SHA256)
        assert found.etag is not None


@pytest.mark.parametrize(
    ("uri", "failure"),
    [
        (f"s3://{BUCKET}/nothing", "UNREACHABLE_URI"),
        ("s3://nowhere/a", "UNREACHABLE_URI"),
        ("s3://not a bucket/a", "UNREACHABLE_URI"),
        (f"s3://{BUCKET}/", "UNREACHABLE_URI"),
        (f"s3://{BUCKET}", "UNREACHABLE_URI"),
        ("https://example.com/a", "UNSUPPORTED_SCHEME"),
        ("nothing", "UNSUPPORTED_SCHEME"),
        ("", "UNSUPPORTED_SCHEME"),
    ],
)
async def test_a_reference_that_leads_nowhere_has_its_code(
    store: EvidenceStore, uri: str, failure: str
) -> None:
    assert (await store.head(uri, None)).failure == failure


async def test_without_a_bucket_there_is_no_store() -> None:
    store = EvidenceStore(Settings.model_validate({}), load_bundle().evidence)
    assert await store.presign("k", "image/jpeg", 1, SHA256) is None
    assert await store.accept(upload()) is None
    assert (await store.head("s3://a/b", None)).failure == "NETWORK_ERROR"


async def test_a_missing_bucket_is_no_store(s3_settings: Settings) -> None:
    lost = EvidenceStore(
        s3_settings.model_copy(update={"s3_bucket": "no-such-bucket"}), load_bundle().evidence
    )
    assert await lost.presign("k", "image/jpeg", 1, SHA256) is None


async def test_a_store_that_is_down_or_silent_is_reported_as_such(s3_settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        changed = {"s3_endpoint_url": f"http://127.0.0.1:{port}", "evidence_head_timeout_ms": 100}
        hung = EvidenceStore(s3_settings.model_copy(update=changed), load_bundle().evidence)
        assert (await hung.head("s3://a/b", None)).failure == "HEAD_TIMEOUT"
    gone = EvidenceStore(s3_settings.model_copy(update=changed), load_bundle().evidence)
    assert (await gone.head("s3://a/b", None)).failure == "NETWORK_ERROR"
    assert await gone.accept(upload()) is None
    assert await gone.presign("k", "image/jpeg", 1, SHA256) is None


async def test_evidence_travels_from_the_client_to_its_row(
    store: EvidenceStore, pool: Pool, owner: Connection
) -> None:
    runner = await build_runner(pool, owner)
    runner.store = store
    ticket = await runner.create()
    announced = {
        "kind": "PHOTO",
        "content_type": "image/jpeg",
        "size_bytes": len(BYTES),
        "sha256": SHA256,
    }
    presigned = await runner.done("evidence.presign", announced, ticket)
    async with httpx.AsyncClient(trust_env=False) as web:
        permission = presigned["upload"]
        sent = await web.put(permission["url"], content=BYTES, headers=permission["headers"])
        assert sent.status_code == 200
    item = await runner.done("evidence.finalize", {"uri": presigned["uri"]}, ticket)
    row = await runner.row("SELECT * FROM evidence_items WHERE id = $1", UUID(item["id"]))
    assert (row["checksum"], row["object_version_id"]) == (SHA256, item["object_version_id"])
    assert row["retention_until"] is not None


@pytest.mark.parametrize("text", [None, "", "?", "YQ==", f"{base64_of_hex(SHA256)}-2"])
def test_only_the_digest_of_a_whole_object_counts(text: str | None) -> None:
    assert hex_of_base64(text) is None
    assert hex_of_base64(base64_of_hex(SHA256)) == SHA256
