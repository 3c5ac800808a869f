"""The Temporal dev server with its UI, tuned as measured (20 queue polls a second are too few)."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.attributes import SEARCH_ATTRIBUTES
from runtime.stack.files import private_folder
from runtime.stack.part import Part
from runtime.stack.ports import LOOPBACK
from runtime.stack.servers import script

_SQLITE = ("journal_mode=WAL", "synchronous=NORMAL")
_DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=5000",
    "history.timerProcessorMaxPollRPS=5000",
    "system.enableActivityEagerExecution=true",
    # A dev server would read the list of search attributes from its database at every use of one.
    "system.forceSearchAttributesCacheRefreshOnRead=false",
    # Its HTTP twin, on a random port, would serve any page whose name was made to lead here.
    'frontend.httpAllowedHosts=["127.0.0.1"]',
)
_PROBE_TIMEOUT_SECONDS = 2.0


def temporal_part(
    folder: Path, log_path: Path, *, port: int, ui_port: int | None, namespace: str
) -> Part:
    """Return the Temporal server with its data in `folder`; without a UI where it gets no port.

    A dev server knows neither TLS nor callers, so it listens on loopback alone.
    """
    private_folder(folder)
    address = f"{LOOPBACK}:{port}"
    ui = ("--headless",) if ui_port is None else ("--ui-port", str(ui_port))

    async def ready() -> bool:
        return await _answers(address, namespace)

    return Part(
        name="temporal",
        command=(
            script("temporal"), "server", "start-dev",
            "--ip", LOOPBACK, "--port", str(port), *ui,
            "--namespace", namespace, "--log-level", "error", "--ui-disable-news-fetch",
            "--db-filename", str(folder / "temporal.db"),
            *_repeat("--sqlite-pragma", _SQLITE),
            *_repeat("--dynamic-config-value", _DYNAMIC_CONFIG),
            *_repeat("--search-attribute", (f"{k}={v}" for k, v in SEARCH_ATTRIBUTES.items())),
        ),
        log_path=log_path,
        ready=ready,
        url=address,
    )  # fmt: skip


def _repeat(flag: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (flag, value))


async def _answers(address: str, namespace: str) -> bool:
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            client = await Client.connect(address, namespace=namespace)
            await client.count_workflows()
    except (RPCError, RuntimeError, TimeoutError):
        return False
    return True


async def has_poller(address: str, namespace: str, task_queue: str) -> bool:
    """Return whether a worker polls the task queue for workflow tasks."""
    question = DescribeTaskQueueRequest(
        namespace=namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            client = await Client.connect(address, namespace=namespace)
            answer = await client.workflow_service.describe_task_queue(question)
    except (RPCError, RuntimeError, TimeoutError):
        return False
    return len(answer.pollers) > 0
