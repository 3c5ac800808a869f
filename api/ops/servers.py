"""Do the other servers answer: the engine with its workers, and the object store."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from runtime.settings import Settings
from runtime.temporal.client import accepts_attributes
from runtime.temporal.sending import ENGINE_FAULTS, trouble_of

if TYPE_CHECKING:  # the stubs are a development dependency
    from types_boto3_s3 import S3Client

PROBE_SECONDS = 2
# The server lists a poller for minutes after its last poll; a living one polls once a minute.
POLLER_MAX_AGE = timedelta(seconds=90)


async def engine_trouble(client: Client, task_queue: str) -> str | None:
    """Return what keeps a ticket from being started; None: nothing does.

    The namespace answers, it takes our search attributes, and a worker polls the task queue.
    """
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            polled, accepted = await asyncio.gather(
                _polled(client, task_queue), accepts_attributes(client)
            )
    except ENGINE_FAULTS as error:
        return f"the engine is {trouble_of(error)}"
    if not accepted:
        return "the namespace does not know the search attributes yet"
    return None if polled else "no worker polls the task queue"


async def _polled(client: Client, task_queue: str) -> bool:
    question = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(question)
    oldest = datetime.now(UTC) - POLLER_MAX_AGE
    return any(
        poller.last_access_time.ToDatetime(tzinfo=UTC) >= oldest for poller in answer.pollers
    )


class BucketProbe:
    """Asks for the configured bucket; its client is made on first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: S3Client | None = None

    async def answers(self) -> bool:
        """Return whether the bucket is there."""
        try:
            async with asyncio.timeout(PROBE_SECONDS + 1):
                return await asyncio.to_thread(self._head)
        except TimeoutError:
            return False

    def _head(self) -> bool:
        bucket = self._settings.s3_bucket
        if bucket is None:
            return False
        try:
            if self._client is None:
                self._client = _client(self._settings)
            self._client.head_bucket(Bucket=bucket)
        except (BotoCoreError, ClientError, ValueError):
            return False
        return True


def _client(settings: Settings) -> "S3Client":
    secret = settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
        config=Config(
            connect_timeout=1,
            read_timeout=PROBE_SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
        ),
    )
