"""Processes by identity, so that a recycled process id is never signalled by mistake."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable

import psutil
from pydantic import BaseModel, ConfigDict

_CLOCK_TOLERANCE_SECONDS = 2.0
_POLL_SECONDS = 0.05
_NAMELESS_SECONDS = 1.0
_INSTANT_SECONDS = 0.001


class ProcessRecord(BaseModel):
    """What tells one process from a later one with the same id."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_at: float
    command: tuple[str, ...]
    stop_signal: int = int(signal.SIGTERM)


def record(pid: int, stop_signal: int = signal.SIGTERM) -> ProcessRecord | None:
    """Return the identity of a running process, or None if it is gone."""
    try:
        process = psutil.Process(pid)
        return ProcessRecord(
            pid=pid,
            started_at=process.create_time(),
            command=_command(process),
            stop_signal=int(stop_signal),
        )
    except psutil.Error:
        return None


def _command(process: psutil.Process) -> tuple[str, ...]:
    """Return the command line; a process that has just been started has none for an instant."""
    deadline = time.monotonic() + _NAMELESS_SECONDS
    while not (command := tuple(process.cmdline())) and time.monotonic() < deadline:
        time.sleep(_INSTANT_SECONDS)
    return command


def is_running(known: ProcessRecord) -> bool:
    """Return whether exactly this process still runs."""
    try:
        process = psutil.Process(known.pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - known.started_at) <= _CLOCK_TOLERANCE_SECONDS
            and tuple(process.cmdline()) == known.command
        )
    except psutil.Error:
        return False


def stop(known: Iterable[ProcessRecord], timeout_seconds: float = 15.0) -> list[ProcessRecord]:
    """Stop the processes that still run, one after the other; return them.

    Each gets its stop signal and, if it does not obey in time, a kill of its whole group.
    """
    stopped = []
    for process in known:
        if not is_running(process):
            continue
        stopped.append(process)
        if not request_stop(process, timeout_seconds):
            kill_group(process.pid)
            wait_gone(process, timeout_seconds)
    return stopped


def request_stop(known: ProcessRecord, timeout_seconds: float) -> bool:
    """Send the stop signal and return whether the process was gone in time."""
    if is_running(known):
        with contextlib.suppress(ProcessLookupError):
            os.kill(known.pid, known.stop_signal)
    return wait_gone(known, timeout_seconds)


def wait_gone(known: ProcessRecord, timeout_seconds: float) -> bool:
    """Wait until the process is gone; return False if it still runs after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while is_running(known):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def kill_group(pid: int) -> None:
    """Kill a process and what it started. Each part leads its own process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def memory_bytes(known: ProcessRecord, *, children: bool) -> int:
    """Return the memory of a process, with or without its children.

    Shared pages are divided among those who share them, where the system tells.
    """
    try:
        process = psutil.Process(known.pid)
        family = [process, *(process.children(recursive=True) if children else ())]
    except psutil.Error:
        return 0
    return sum(_own_bytes(member) for member in family)


def _own_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    return 0
