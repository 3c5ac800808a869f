"""The laboratory: two gateways, two workers and their servers, each process open to faults.

The second gateway and the second worker reach Postgres and Temporal by cables. The workers are
versions of a Worker Deployment, so that a release can be rolled out under load.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import TaskQueueType, VersionDrainageStatus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentVersionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from runtime.settings import load_settings
from runtime.stack import EmbeddedStack, PartName, StackError
from runtime.stack.applications import api_part, worker_part
from runtime.stack.part import Part, SupervisedPart
from runtime.stack.ports import LOOPBACK, PortChooser
from runtime.stack.temporal import temporal_part
from runtime.temporal.client import connect_temporal
from tests.faults.wires.cables import Cable, cable
from tests.integration.servers.running_stack import UNLIMITED
from tests.polling import eventually

_R = TypeVar("_R")
GATEWAYS, WORKERS = ("gateway-1", "gateway-2"), ("worker-1", "worker-2")
DATABASE, ENGINE = "DISPATCH_DATABASE_URL", "DISPATCH_TEMPORAL_ADDRESS"
DEPLOYMENT, BUILD = "DISPATCH_WORKER_DEPLOYMENT_NAME", "DISPATCH_WORKER_BUILD_ID"
DEPLOYMENT_NAME = "dispatch-lab"
RECOVERY_SECONDS = 90.0
ROUTING_SECONDS = 0.25  # between two looks that the engine's own workflows must answer
RAMP_SECONDS = 10.0
SUGGEST_AFTER_EVENTS = 80
DYNAMIC_CONFIG = (
    f"limit.historyCount.suggestContinueAsNew={SUGGEST_AFTER_EVENTS}",
    'matching.wv.VersionDrainageStatusVisibilityGracePeriod="1s"',
    'matching.wv.VersionDrainageStatusRefreshInterval="1s"',
)
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # a release comes with its bytecode
NOT_NOW = (RPCError, RuntimeError, TimeoutError)


@dataclass
class Lab:
    """The running laboratory. `release` counts the releases that were rolled out."""

    stack: EmbeddedStack
    folder: Path
    env: Mapping[str, str]
    cables: Mapping[str, Cable] = field(default_factory=dict)
    parts: dict[str, SupervisedPart] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    release: int = 1

    @property
    def owner_url(self) -> str:
        """The login that owns the schema."""
        return self.stack.owner_database_url or ""

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes of a part, the first one first."""
        if name in self.parts:
            record = self.parts[name].record
            pid = record.pid if record else None
        else:
            pid = self.stack.pid(PartName(name))
        if pid is None:
            return []
        try:
            leader = psutil.Process(pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    async def temporal(self) -> Client:
        """Return a client of the engine, past all cables; an engine that was killed comes back."""
        settings, _ = load_settings(self.env)

        async def client() -> Client | None:
            try:
                return await connect_temporal(settings)
            except RuntimeError:
                return None

        return await eventually(client, within=RECOVERY_SECONDS, every=ROUTING_SECONDS)

    async def start(self, part: Part) -> None:
        """Start a part and keep it running."""
        supervised = SupervisedPart(part, lambda _: None, lambda: None)
        self.parts[part.name] = supervised
        await supervised.start()

    async def stop(self, name: str) -> None:
        """Stop a part as an operator would."""
        await self.parts.pop(name).stop()

    async def is_well(self) -> None:
        """Wait until both gateways say that they and everything they need are ready."""

        async def ready() -> bool:
            try:
                answers = [await client.get("/health/ready", timeout=5) for client in self.clients]
            except httpx.TransportError:
                return False
            return all(answer.is_success for answer in answers)

        await eventually(ready, within=RECOVERY_SECONDS, what="recovery")

    def worker(self, name: str, *, build: str = "") -> Part:
        """Return a worker of the present release; `build` names one of `broken`."""
        number = WORKERS.index(name)
        env = {**self._environment(number), DEPLOYMENT: DEPLOYMENT_NAME, BUILD: str(self.release)}
        part = worker_part(self.folder / "logs" / f"{name}.log", env)
        command = (
            (sys.executable, "-m", "tests.faults.builds.broken", build) if build else part.command
        )
        return replace(part, name=f"{name}@{self.release}", command=command)

    def gateway(self, name: str, *, build: str = "") -> Part:
        """Return a gateway; `build` names one of `broken`."""
        url = self.urls[name]
        port = url.rpartition(":")[2]
        env = {
            **self._environment(GATEWAYS.index(name)),
            "DISPATCH_API_HOST": LOOPBACK, "DISPATCH_API_PORT": port, "DISPATCH_API_URL": url,
        }  # fmt: skip
        part = api_part(self.folder / "logs" / f"{name}.log", env)
        command = (
            (sys.executable, "-m", "tests.faults.builds.broken", build) if build else part.command
        )
        return replace(part, name=name, command=command)

    async def polling(self) -> None:
        """Wait until all workers poll by themselves; the server remembers dead ones for long."""
        client = await self.temporal()
        question = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=self.env["DISPATCH_TEMPORAL_TASK_QUEUE"]),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )

        async def all_poll() -> bool:
            answer = await client.workflow_service.describe_task_queue(question)
            polling = {poller.identity.partition("@")[0] for poller in answer.pollers}
            workers = [self.processes(name) for name in self.parts if name.startswith("worker")]
            return all(found and str(found[0].pid) in polling for found in workers)

        await _routed(all_poll, "polling workers")

    async def make_current(self) -> None:
        """Send every ticket to the workers of the present release."""
        client = await self.temporal()
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace,
            deployment_name=DEPLOYMENT_NAME,
            build_id=str(self.release),
        )
        await _accepted(client.workflow_service.set_worker_deployment_current_version, request)

    async def _ramp_up(self, ramp: Sequence[float]) -> None:
        """Send more and more of the tickets to the workers of the present release."""
        client = await self.temporal()
        for percentage in ramp:
            request = SetWorkerDeploymentRampingVersionRequest(
                namespace=client.namespace,
                deployment_name=DEPLOYMENT_NAME,
                build_id=str(self.release),
                percentage=percentage,
            )
            await _accepted(client.workflow_service.set_worker_deployment_ramping_version, request)
            await asyncio.sleep(RAMP_SECONDS)

    async def roll_out(self, build: str = "next-release", ramp: Sequence[float] = ()) -> None:
        """Replace all workers by those of the next release, as the manual says, under load.

        `ramp` are the percentages of the tickets that go there first, for some seconds each. The
        workers start one after the other: starting takes processors from those that work.
        """
        old = [name for name in self.parts if name.startswith("worker")]
        self.release += 1
        for name in WORKERS:
            await self.start(self.worker(name, build=build))
            await self.polling()
        await self._ramp_up(ramp)
        await self.make_current()
        await self._drained(str(self.release - 1))
        for name in old:
            await self.stop(name)

    async def _drained(self, build_id: str) -> None:
        """Wait until no ticket depends on the workers of a release."""
        client = await self.temporal()
        version = WorkerDeploymentVersion(deployment_name=DEPLOYMENT_NAME, build_id=build_id)
        question = DescribeWorkerDeploymentVersionRequest(
            namespace=client.namespace, deployment_version=version
        )

        async def is_drained() -> bool:
            answer = await client.workflow_service.describe_worker_deployment_version(question)
            status = answer.worker_deployment_version_info.drainage_info.status
            return status == VersionDrainageStatus.VERSION_DRAINAGE_STATUS_DRAINED

        await _routed(is_drained, "a drained version")

    def _environment(self, number: int) -> dict[str, str]:
        wires = {name: wire.url for name, wire in self.cables.items()} if number else {}
        return {**self.env, **wires, **COMPILED}


@asynccontextmanager
async def laboratory(folder: Path) -> AsyncIterator[Lab]:
    """Run everything, its data in a folder."""
    environ = {**UNLIMITED, "DISPATCH_HOLD_EXPIRY_GRACE_SECONDS": "0"}
    ports = PortChooser()
    engine = ports.choose()
    environ[ENGINE] = f"{LOOPBACK}:{engine}"
    servers = (PartName.POSTGRES, PartName.S3)
    async with AsyncExitStack() as stack:
        embedded = EmbeddedStack(folder, parts=servers, environ=environ)
        await stack.enter_async_context(embedded)
        lab = Lab(embedded, folder, dict(embedded.env))
        stack.push_async_callback(_stop_all, lab)
        await lab.start(_engine(folder, engine, ports.choose(), lab.env))
        lab.cables = {
            name: await stack.enter_async_context(cable(lab.env, name))
            for name in (DATABASE, ENGINE)
        }
        for name in GATEWAYS:
            lab.urls[name] = f"http://{LOOPBACK}:{ports.choose()}"
            limits = httpx.Limits(max_connections=None)
            client = httpx.AsyncClient(base_url=lab.urls[name], timeout=60, limits=limits)
            lab.clients.append(await stack.enter_async_context(client))
        workers = map(lab.worker, WORKERS)
        await _start_all(lab, [*workers, *map(lab.gateway, GATEWAYS)])
        await lab.make_current()
        await lab.is_well()
        yield lab


def _engine(folder: Path, port: int, ui_port: int, env: Mapping[str, str]) -> Part:
    part = temporal_part(
        folder / "temporal",
        folder / "logs" / "temporal.log",
        port=port,
        ui_port=ui_port,
        namespace=env["DISPATCH_TEMPORAL_NAMESPACE"],
    )
    values = (word for value in DYNAMIC_CONFIG for word in ("--dynamic-config-value", value))
    return replace(part, command=(*part.command, *values))


async def _accepted(call: Callable[[_R], Awaitable[object]], request: _R) -> None:
    """Ask until the server agrees; it refuses while it does not know the version's workers."""

    async def agrees() -> bool:
        try:
            await call(request)
        except NOT_NOW:
            return False
        return True

    await _routed(agrees, "a routed version")


async def _routed(question: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for what the engine says of its workers and their versions."""
    await eventually(question, within=RECOVERY_SECONDS, every=ROUTING_SECONDS, what=what)


async def _start_all(lab: Lab, parts: Iterable[Part]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(lab.start(part))
    except ExceptionGroup as failures:
        raise StackError(str(failures.exceptions[0])) from failures


async def _stop_all(lab: Lab) -> None:
    names: Sequence[str] = [name for name in lab.parts if name != "temporal"]
    await asyncio.gather(*(lab.stop(name) for name in names))
    if "temporal" in lab.parts:
        await lab.stop("temporal")
