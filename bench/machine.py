"""The embedded stack of one benchmark run, what runs beside it, and the processor time they use."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psutil
import uvloop

from bench.lifecycle import HttpPath, Place
from runtime.garbage import spare_long_lived
from runtime.settings import Settings, load_settings
from runtime.stack import EmbeddedStack, PartName, StackError
from runtime.stack.part import Part, SupervisedPart

BENCH_DIR = Path(".dispatch/bench")
PARTS = (PartName.POSTGRES, PartName.TEMPORAL, PartName.WORKER, PartName.API)
UNLIMITED = {"DISPATCH_RATE_LIMITS": "off"}

R = TypeVar("R")


@dataclass(frozen=True)
class Machine:
    """A running stack: how to reach it, and who runs in it."""

    env: Mapping[str, str]
    settings: Settings
    data_dir: Path
    pids: Mapping[str, int]
    owner_url: str
    """The login that may create databases."""

    @property
    def database_url(self) -> str:
        """The login of the application."""
        return self.settings.database_url.get_secret_value()

    @property
    def place(self) -> Place:
        """The demo account, site and technician, which the bootstrap has created."""
        chosen = self.settings
        return Place(
            str(chosen.demo_account_id), str(chosen.demo_site_id), str(chosen.demo_tech_id)
        )

    @property
    def secret(self) -> str:
        """The secret that tokens are signed with."""
        return self.env["DISPATCH_AUTH_JWT_SECRET"]

    @property
    def http_path(self) -> HttpPath:
        """The gateway as it is called from outside."""
        return HttpPath(self.env["DISPATCH_API_URL"], self.secret, self.place)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time each part has used so far, its children included."""
        return {name: _cpu_seconds(pid) for name, pid in self.pids.items()}


def progress(text: str) -> None:
    """Tell on stderr what happens."""
    print(f"  {text}", file=sys.stderr, flush=True)


def on_a_machine(
    beside: Callable[[Machine], Sequence[Part]],
    measure: Callable[[Machine], Coroutine[Any, Any, R]],
) -> R:
    """Start a stack and what belongs beside it, measure, stop all; SIGTERM acts like Ctrl-C."""

    async def run() -> R:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with AsyncExitStack() as stack:
            machine = await stack.enter_async_context(_running_machine())
            complete = await stack.enter_async_context(_with_parts(machine, beside(machine)))
            return await _on_a_faster_loop(measure(complete))

    try:
        return asyncio.run(run())
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("stopped before the end: nothing was written")


async def _on_a_faster_loop(work: Coroutine[Any, Any, R]) -> R:
    """Run `work` in a thread: the stack's supervisor needs asyncio's loop. Cancelled with us."""
    started: Future[Callable[[], object]] = Future()
    spare_long_lived()  # or the pauses of those who measure would be measured

    async def cancellable() -> R:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await task

    thread = asyncio.ensure_future(asyncio.to_thread(uvloop.run, cancellable()))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        with suppress(RuntimeError):  # its loop has just ended
            started.result()()
        await asyncio.wait([thread])
        raise


@asynccontextmanager
async def _running_machine() -> AsyncIterator[Machine]:
    """Start the stack on free ports in a temporary folder."""
    with _data_dir() as data_dir:
        async with EmbeddedStack(
            data_dir, parts=PARTS, environ=UNLIMITED, report=progress
        ) as stack:
            settings, _ = load_settings(stack.env)
            pids = {str(name): stack.pid(name) for name in PARTS}
            pids["load"] = os.getpid()
            yield Machine(stack.env, settings, data_dir, pids, stack.owner_database_url or "")


@asynccontextmanager
async def _with_parts(machine: Machine, parts: Sequence[Part]) -> AsyncIterator[Machine]:
    """Run more processes beside the stack."""
    pids = dict(machine.pids)
    async with AsyncExitStack() as stack:
        for part in parts:
            supervised = SupervisedPart(part, progress, lambda: None)
            stack.push_async_callback(supervised.stop)
            await supervised.start()
            if supervised.record is None:
                raise StackError(f"{part.name} ended at once, see {part.log_path}")
            pids[part.name] = supervised.record.pid
        yield replace(machine, pids=pids)


@contextmanager
def _data_dir() -> Iterator[Path]:
    BENCH_DIR.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="run-", dir=BENCH_DIR) as folder:
        yield Path(folder).absolute()


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system
    if pid != os.getpid():
        for child in process.children(recursive=True):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)
