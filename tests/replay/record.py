"""Records the history of every path from the real stack: `python -m tests.replay.record`.

Named scenarios are files that people can read; random lifecycles are lines of one compressed file.
Names on the command line choose scenarios; `lifecycle` stands for the random ones.
"""

import asyncio
import lzma
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from policy.rules.bundle import load_bundle
from runtime.settings import load_settings
from runtime.stack import EmbeddedStack
from runtime.stack.servers import script
from runtime.temporal.client import connect_temporal, ensure_search_attributes
from tests.faults.load.clients import Crowd
from tests.integration.servers.running_stack import UNLIMITED, gateway_of
from tests.replay.recording import Recording
from tests.replay.scenarios import SCENARIOS

HISTORIES = Path(__file__).with_name("histories")
CORPUS = HISTORIES / "lifecycles.jsonl.xz"
RANDOM, SEED, LIFECYCLES, LANES = "lifecycle", 1, 150, 6
SUGGEST_AFTER_EVENTS = 150
SECRET = re.compile(r"SECRET|PASSWORD|KEY|DATABASE_URL")
MACHINE = re.compile(r'"[0-9]+@[^"]*"')  # process and host, which name clients and sticky queues


async def record(names: Collection[str]) -> None:
    """Play scenarios and keep the history of each run."""
    async with playing() as on:
        for name, play in SCENARIOS.items():
            if name in names:
                for old in HISTORIES.glob(f"{name}.*"):
                    old.unlink()
                workflow = await play(on)
                for part, text in await _texts(on, workflow):
                    path = HISTORIES / f"{name}{part}.json"
                    path.write_text(text + "\n")
                    print(f"{path.name}: {len(text)} characters")  # noqa: T201
        if RANDOM in names:
            lines = [
                line
                for number, ticket in enumerate(await lifecycles(on), start=1)
                for line in await _lines(on, f"{RANDOM}-{number:03}", ticket)
            ]
            CORPUS.write_bytes(lzma.compress(b"".join(lines), preset=9))
            print(f"{CORPUS.name}: {len(lines)} histories, {CORPUS.stat().st_size} bytes")  # noqa: T201


async def lifecycles(on: Recording) -> list[str]:
    """Let random clients work on new tickets, and return these in the order of their numbers."""
    gateway = on.gateway
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    gate = asyncio.Semaphore(LANES)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as http:
        crowd = Crowd(load_bundle(), [http], place, gateway.tech_id, SEED)

        async def lifecycle(number: int) -> None:
            async with gate:
                await crowd.lifecycle(number)

        await asyncio.gather(*map(lifecycle, range(LIFECYCLES)))
    numbers = {call.ticket: int(call.client[:-1]) for call in crowd.calls if call.ticket}
    return sorted(numbers, key=lambda ticket: numbers[ticket])


async def _lines(on: Recording, name: str, ticket: str) -> list[bytes]:
    return [
        orjson.dumps({"name": f"{name}{part}", "history": orjson.loads(text)}) + b"\n"
        for part, text in await _texts(on, on.handle(ticket).id)
    ]


async def _texts(on: Recording, workflow: str) -> list[tuple[str, str]]:
    """Return the history of each run, with the run's number unless there is only one."""
    secrets = [text for name, text in on.gateway.env.items() if SECRET.search(name)]
    runs = [history async for history in histories(on.client, workflow)]
    texts = []
    for number, history in enumerate(runs, start=1):
        stored = b"".join(event.SerializeToString() for event in history.events)
        assert not any(secret.encode() in stored for secret in secrets), workflow
        part = f".{number}" if len(runs) > 1 else ""
        texts.append((part, MACHINE.sub('"recorder"', history.to_json())))
    return texts


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
    asyncio.run(record(sys.argv[1:] or [*SCENARIOS, RANDOM]))
