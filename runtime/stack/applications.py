"""Our own programs as parts: each its own process, configured by the environment alone."""

import os
from collections.abc import Mapping
from pathlib import Path

import httpx

from runtime.stack.part import Part
from runtime.stack.servers import script
from runtime.stack.temporal import has_poller

_PROBE_TIMEOUT_SECONDS = 5.0


def api_part(log_path: Path, env: Mapping[str, str]) -> Part:
    """Return the gateway; ready when it serves."""
    url = env["DISPATCH_API_URL"]

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=_PROBE_TIMEOUT_SECONDS) as client:
                answer = await client.get(f"{url}/health/live")
        except httpx.HTTPError:
            return False
        return answer.is_success

    return Part(
        name="api",
        command=(script("dispatch-api"),),
        log_path=log_path,
        ready=ready,
        url=url,
        env=_child_environment(env),
    )


def worker_part(log_path: Path, env: Mapping[str, str]) -> Part:
    """Return the worker; ready when its task queue is polled."""

    async def ready() -> bool:
        return await has_poller(
            env["DISPATCH_TEMPORAL_ADDRESS"],
            env["DISPATCH_TEMPORAL_NAMESPACE"],
            env["DISPATCH_TEMPORAL_TASK_QUEUE"],
        )

    return Part(
        name="worker",
        command=(script("dispatch-worker"),),
        log_path=log_path,
        ready=ready,
        env=_child_environment(env),
        stop_timeout_seconds=20.0,
    )


def relay_part(log_path: Path, env: Mapping[str, str]) -> Part:
    """Return the outbox relay; it needs no time to be ready."""
    # A bounded run ends, and would be started again and again.
    endless = {name: text for name, text in env.items() if name != "DISPATCH_OUTBOX_ITERATIONS"}
    return Part(
        name="relay",
        command=(script("dispatch-outbox"),),
        log_path=log_path,
        ready=_at_once,
        env=_child_environment(endless),
        stop_timeout_seconds=20.0,
    )


def automation_part(log_path: Path, env: Mapping[str, str]) -> Part:
    """Return the assignment automation; it waits for the gateway by itself."""
    return Part(
        name="automation",
        command=(script("dispatch-automation"),),
        log_path=log_path,
        ready=_at_once,
        env=_child_environment(env),
        stop_timeout_seconds=20.0,
    )


async def _at_once() -> bool:
    return True


def _child_environment(env: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")
    }
    return {**inherited, **env}
