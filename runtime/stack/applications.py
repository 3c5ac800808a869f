"""The API and the worker as parts: each its own process, configured by the environment alone."""

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


def _child_environment(env: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")
    }
    return {**inherited, **env}
