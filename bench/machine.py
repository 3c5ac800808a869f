"""The embedded stack of one benchmark run, and the processor time its processes use."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.lifecycle import Place
from runtime.settings import Settings, load_settings
from runtime.stack import EmbeddedStack, PartName
from runtime.stack.temporal import has_poller

BENCH_DIR = Path(".dispatch/bench")
PARTS = (PartName.POSTGRES, PartName.TEMPORAL, PartName.WORKER, PartName.API)
UNLIMITED = {"DISPATCH_RATE_LIMITS": "off"}
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Machine:
    """A running stack: how to reach it, and who runs in it."""

    env: Mapping[str, str]
    settings: Settings
    data_dir: Path
    pids: Mapping[str, int]
    owner_url: str

    @property
    def database_url(self) -> str:
        """The login of the application."""
        return self.settings.database_url.get_secret_value()

    @property
    def secret(self) -> str:
        """The secret that tokens are signed with."""
        return self.env["DISPATCH_AUTH_JWT_SECRET"]

    @property
    def place(self) -> Place:
        """The demo account, site and technician, which the bootstrap has created."""
        chosen = self.settings
        return Place(
            str(chosen.demo_account_id), str(chosen.demo_site_id), str(chosen.demo_tech_id)
        )

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time each part has used so far, its children included."""
        return {name: _cpu_seconds(pid) for name, pid in self.pids.items()}


def progress(text: str) -> None:
    """Tell on stderr what happens."""
    print(f"  {text}", file=sys.stderr, flush=True)


@asynccontextmanager
async def running_machine() -> AsyncIterator[Machine]:
    """Start the stack on free ports in a temporary folder, and the bare worker beside it."""
    with _data_dir() as data_dir:
        async with EmbeddedStack(
            data_dir, parts=PARTS, environ=UNLIMITED, report=progress
        ) as stack:
            settings, _ = load_settings(stack.env)
            async with _floor_worker(stack.env, data_dir / "logs" / "floor.log") as floor_pid:
                pids = {str(name): stack.pid(name) for name in PARTS}
                pids |= {"floor worker": floor_pid, "load": os.getpid()}
                owner_url = stack.owner_database_url or ""
                yield Machine(stack.env, settings, data_dir, pids, owner_url)


@contextmanager
def _data_dir() -> Iterator[Path]:
    BENCH_DIR.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="run-", dir=BENCH_DIR) as folder:
        yield Path(folder).absolute()


@asynccontextmanager
async def _floor_worker(env: Mapping[str, str], log_path: Path) -> AsyncIterator[int]:
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.floor_worker",
            env={**os.environ, **env}, stdout=log, stderr=log,
        )  # fmt: skip
    address, namespace = env["DISPATCH_TEMPORAL_ADDRESS"], env["DISPATCH_TEMPORAL_NAMESPACE"]
    try:
        while not await has_poller(address, namespace, "bench-floor"):
            if process.returncode is not None:
                raise RuntimeError(f"the bare worker ended, see {log_path}")
            await asyncio.sleep(POLL_SECONDS)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system
    if pid != os.getpid():
        for child in process.children(recursive=True):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)
