"""Records the history of every path from the real stack: `python -m tests.replay.record`."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from runtime.settings import load_settings
from runtime.stack import EmbeddedStack
from runtime.stack.servers import script
from runtime.temporal import connect_temporal, ensure_search_attributes
from tests.integration.running_stack import UNLIMITED, gateway_of
from tests.replay.scenarios import SCENARIOS, Recording

HISTORIES = Path(__file__).with_name("histories")
SUGGEST_AFTER_EVENTS = 150
SECRET = re.compile(r"SECRET|PASSWORD|KEY|DATABASE_URL")
MACHINE = re.compile(r'"[0-9]+@[^"]*"')  # process and host, which name clients and sticky queues


async def record() -> None:
    """Play every scenario and keep the history of each run."""
    for old in HISTORIES.glob("*.json"):
        old.unlink()
    async with playing() as on:
        secrets = [text for name, text in on.gateway.env.items() if SECRET.search(name)]
        for name, play in SCENARIOS.items():
            workflow = await play(on)
            runs = [history async for history in histories(on.client, workflow)]
            for number, history in enumerate(runs, start=1):
                stored = b"".join(event.SerializeToString() for event in history.events)
                assert not any(secret.encode() in stored for secret in secrets), name
                text = MACHINE.sub('"recorder"', history.to_json())
                part = f".{number}" if len(runs) > 1 else ""
                path = HISTORIES / f"{name}{part}.json"
                path.write_text(text + "\n")
                print(f"{path.name}: {len(history.events)} events, {len(stored)} bytes")  # noqa: T201


@asynccontextmanager
async def playing() -> AsyncIterator[Recording]:
    """Run the whole stack on a Temporal server that soon suggests to continue as new."""
    suggestion = f"limit.historyCount.suggestContinueAsNew={SUGGEST_AFTER_EVENTS}"
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=script("temporal"),
        data_converter=pydantic_data_converter,
        dev_server_extra_args=["--dynamic-config-value", suggestion],
    )
    async with server:
        await ensure_search_attributes(server.client)
        environ = {
            **UNLIMITED,
            "DISPATCH_TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
            "DISPATCH_HOLD_EXPIRY_GRACE_SECONDS": "0",
        }
        with tempfile.TemporaryDirectory() as folder:
            async with EmbeddedStack(Path(folder), environ=environ) as stack:
                settings, _ = load_settings(stack.env)
                client = await connect_temporal(settings)
                with gateway_of(stack) as gateway:
                    queue = settings.temporal_task_queue
                    yield Recording(gateway, client, queue, SUGGEST_AFTER_EVENTS)


async def histories(client: Client, workflow: str) -> AsyncIterator[WorkflowHistory]:
    """Yield the histories of a workflow id, the oldest run first."""
    runs = [run async for run in client.list_workflows(f'WorkflowId = "{workflow}"')]
    for run in sorted(runs, key=lambda run: run.start_time):
        handle = client.get_workflow_handle(workflow, run_id=run.run_id)
        yield await handle.fetch_history()


if __name__ == "__main__":
    asyncio.run(record())
