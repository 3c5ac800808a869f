"""One supervised process: started, probed until it is ready, restarted when it dies, stopped."""

import asyncio
import contextlib
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.client import StackError
from runtime.stack import processes
from runtime.stack.files import private_folder, remove, rotate_log

_PROBE_SECONDS = 0.05
_STABLE_SECONDS = 30.0
_BACKOFF_FIRST_SECONDS = 0.2
_BACKOFF_LAST_SECONDS = 10.0
_LOG_LINES = 15

Report = Callable[[str], None]


@dataclass(frozen=True)
class Account:
    """The account a process runs as, when that is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Part:
    """How to run one process of the stack and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    ready: Callable[[], Awaitable[bool]]
    url: str = ""
    prepare: Callable[[], Awaitable[None]] | None = None
    env: Mapping[str, str] | None = None  # None: this process's own
    account: Account | None = None
    leftovers: tuple[Path, ...] = ()  # removed when the process is gone
    stop_signal: signal.Signals = signal.SIGTERM
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 15.0


class SupervisedPart:
    """Keeps one part running until it is told to stop."""

    def __init__(self, part: Part, report: Report, changed: Callable[[], None]) -> None:
        self.part = part
        self.restarts = 0
        self.record: processes.ProcessRecord | None = None
        self._report = report
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the part and return when it is ready. Raises `StackError` if it never is."""
        began = time.monotonic()
        if self.part.prepare is not None:
            await self.part.prepare()
        await self._launch()
        self._watch = asyncio.create_task(self._keep_running())
        self._report(f"{self.part.name} ready {self._where()}({time.monotonic() - began:.1f} s)")

    async def stop(self) -> None:
        """Stop the part; return when its process is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._terminate()
        self.record = None

    async def _launch(self) -> None:
        self._process = await self._spawn()
        self.record = processes.record(self._process.pid, self.part.stop_signal)
        self._changed()
        deadline = time.monotonic() + self.part.start_timeout_seconds
        while not await self.part.ready():
            if self._process.returncode is not None:
                raise StackError(self._failure(f"ended with exit code {self._process.returncode}"))
            if time.monotonic() > deadline:
                await self._terminate()
                limit = f"{self.part.start_timeout_seconds:.0f} s"
                raise StackError(self._failure(f"was not ready after {limit}"))
            await asyncio.sleep(_PROBE_SECONDS)

    async def _spawn(self) -> asyncio.subprocess.Process:
        rotate_log(self.part.log_path)
        return await spawn(
            self.part.command, self.part.log_path, account=self.part.account, env=self.part.env
        )

    async def _keep_running(self) -> None:
        backoff = _BACKOFF_FIRST_SECONDS
        while True:
            began = time.monotonic()
            code = await self._process.wait() if self._process else None
            if time.monotonic() - began > _STABLE_SECONDS:
                backoff = _BACKOFF_FIRST_SECONDS
            ending = f"{self.part.name} ended unexpectedly (exit code {code})"
            self._report(f"{ending}; restart in {backoff:.1f} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _BACKOFF_LAST_SECONDS)
            await self._restart()

    async def _restart(self) -> None:
        self.restarts += 1
        try:
            await self._launch()
        except (StackError, OSError) as failure:
            self._report(str(failure))
        else:
            self._report(f"{self.part.name} is back {self._where()}(restart {self.restarts})")

    async def _terminate(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.part.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.part.stop_timeout_seconds)
            except TimeoutError:
                self._report(f"{self.part.name} did not stop in time and is killed")
        processes.kill_group(process.pid)
        await process.wait()
        remove(self.part.leftovers)

    def _where(self) -> str:
        return f"on {self.part.url} " if self.part.url else ""

    def _failure(self, reason: str) -> str:
        return with_log(f"{self.part.name} {reason}", self.part.log_path)


async def spawn(
    command: Sequence[str],
    log_path: Path,
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start a process that writes to the log and leads its own process group.

    So Ctrl-C in a terminal reaches the supervisor alone.
    """
    private_folder(log_path.parent)
    with log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
        )


def with_log(failure: str, log_path: Path) -> str:
    """Return what failed, where its log is, and the last lines of it."""
    with log_path.open(errors="replace") as log:
        lines = [line.rstrip() for line in deque(log, maxlen=_LOG_LINES)]
    return "\n    ".join([f"{failure}. Log: {log_path}", *lines])
