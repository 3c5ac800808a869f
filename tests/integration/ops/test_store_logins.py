"""At the embedded store, gateway and worker may do what their policies say, and no more."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from runtime.stack import EmbeddedStack, PartName
from runtime.stack.state import ensure_secrets
from runtime.stack.store_policies import GATEWAY, WORKER

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY: Any = {"Key": "evidence/x"}
UNTIL: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)}


class Store(NamedTuple):
    """The store as its two lesser logins see it, and the arguments that name the bucket."""

    gateway: "S3Client"
    worker: "S3Client"
    bucket: Any


def client(env: Mapping[str, str]) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=env["DISPATCH_S3_ENDPOINT_URL"],
        region_name=env["DISPATCH_S3_REGION"],
        aws_access_key_id=env["DISPATCH_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=env["DISPATCH_S3_SECRET_ACCESS_KEY"],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    folder: Path = tmp_path_factory.mktemp("store")
    async with EmbeddedStack(folder, parts={PartName.S3}) as running:
        logins = ensure_secrets(folder).store_logins
        gateway, worker = [
            client({**running.env, **logins[duty].env}) for duty in (GATEWAY, WORKER)
        ]
        yield Store(gateway, worker, {"Bucket": running.env["DISPATCH_S3_BUCKET"]})


async def refuses(client: "S3Client", operation: str, **named: Any) -> None:  # noqa: ANN401  any argument
    with pytest.raises(ClientError, match="AccessDenied"):
        await asyncio.to_thread(getattr(client, operation), **named)


async def test_a_gateway_reads_and_can_neither_delete_nor_retain_nor_write_elsewhere(
    store: Store,
) -> None:
    gateway, worker, bucket = store
    put = await asyncio.to_thread(worker.put_object, **bucket, **KEY, Body=b"x")
    read = await asyncio.to_thread(gateway.get_object, **bucket, **KEY)
    assert read["Body"].read() == b"x"

    version: Any = {**bucket, **KEY, "VersionId": put["VersionId"]}
    await refuses(gateway, "delete_object", **bucket, **KEY)
    await refuses(gateway, "delete_object", **version)
    batch: Any = {**bucket, "Delete": {"Objects": [KEY]}}
    refused = await asyncio.to_thread(gateway.delete_objects, **batch)
    assert [each.get("Code") for each in refused["Errors"]] == ["AccessDenied"]
    await refuses(gateway, "put_object", **bucket, Key="checkpoints/x", Body=b"x")
    copied = {"CopySource": {**bucket, **KEY}, "Key": "checkpoints/x"}
    await refuses(gateway, "copy_object", **bucket, **copied)
    await refuses(gateway, "put_object_retention", **bucket, **KEY, Retention=UNTIL)
    await refuses(gateway, "list_object_versions", **bucket)


async def test_a_worker_retains_and_cannot_delete_what_it_retained(store: Store) -> None:
    worker, bucket = store.worker, store.bucket
    kept: Any = {**bucket, "Key": "evidence/kept"}
    put = await asyncio.to_thread(worker.put_object, **kept, Body=b"x")
    await asyncio.to_thread(worker.put_object_retention, **kept, Retention=UNTIL)
    version = {**kept, "VersionId": put["VersionId"]}
    await refuses(worker, "delete_object", **version)
    await refuses(worker, "delete_object", **version, BypassGovernanceRetention=True)


@pytest.mark.parametrize("duty", [GATEWAY, WORKER])
async def test_no_process_administers_the_bucket(store: Store, duty: str) -> None:
    client = getattr(store, duty)
    await refuses(
        client, "put_object_legal_hold", **store.bucket, **KEY, LegalHold={"Status": "ON"}
    )
    await refuses(client, "put_bucket_policy", **store.bucket, Policy="{}")
    await refuses(client, "delete_bucket", **store.bucket)
    await refuses(client, "create_bucket", Bucket="another")
