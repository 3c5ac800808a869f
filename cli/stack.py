"""`dispatch up`, `status` and `down`: the embedded stack."""

import asyncio
import os
import signal
from dataclasses import replace
from typing import Annotated, Any

import httpx
import typer
from rich.table import Table

from cli.output import PREFIX, DataDir, Exit, failed, say, tell, tell_json
from cli.terminal import Terminal
from cli.work import run
from runtime.client import DEFAULT_DATA_DIR
from runtime.stack import (
    PREFERRED_PORTS,
    EmbeddedStack,
    StackError,
    StackStatus,
    stack_status,
    stop_stack,
)

_MEBIBYTE = 1024 * 1024
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Annotated[
        int,
        typer.Option(
            min=1,
            max=65535,
            envvar="DISPATCH_API_PORT",
            help="Port of the API; a free one if it is taken.",
        ),
    ] = PREFERRED_PORTS.api,
    *,
    ui: Annotated[
        bool, typer.Option("--ui/--no-ui", help="Temporal's UI, which asks nobody who they are.")
    ] = True,
) -> None:
    """Start the whole stack and keep it running until Ctrl-C.

    Temporal with its UI, Postgres, S3, worker and API, all on loopback. Data stays in the data
    folder. A server that the environment names is used instead of an embedded one:
    DISPATCH_DATABASE_URL, DISPATCH_TEMPORAL_ADDRESS, DISPATCH_S3_ENDPOINT_URL.
    """
    stack = EmbeddedStack(
        data_dir,
        ports=replace(PREFERRED_PORTS, api=port, ui=PREFERRED_PORTS.ui if ui else None),
        environ=os.environ,
        report=lambda message: tell(f"{PREFIX} {message}"),
    )
    run(_until_stopped(stack))


def status(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the parts of the stack, their addresses and their memory.

    The exit code is 0 when all of it runs, else 1.
    """
    now = stack_status(data_dir)
    if as_json:
        tell_json(now.model_dump(mode="json"))
    elif now.parts:
        _print_table(now)
    else:
        say(f"No stack runs on {data_dir}. Start one with `dispatch up`.")
    raise typer.Exit(Exit.DONE if now.running else Exit.FAILED)


def down(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop the stack, also what a killed supervisor left behind. Data is kept."""
    try:
        stopped = stop_stack(data_dir, say)
    except StackError as failure:
        raise failed(str(failure)) from None
    if not stopped:
        say(f"No stack runs on {data_dir}.")


async def _until_stopped(stack: EmbeddedStack) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        if task is not None and not task.cancelling():
            tell(f"{PREFIX} stopping")
            task.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop_once)
    try:
        async with stack:
            for name, url in stack.urls.items():
                tell(f"{PREFIX} {name}: {url}")
            tell(f"{PREFIX} healthy; Ctrl-C stops everything")
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        tell(f"{PREFIX} stopped")


def _print_table(now: StackStatus) -> None:
    table = Table("part", "state", "address", "pid", "restarts", "MiB", "log")
    for part in now.parts:
        table.add_row(
            part.name,
            part.state,
            part.url,
            str(part.pid or ""),
            str(part.restarts or ""),
            f"{part.memory_bytes / _MEBIBYTE:.0f}" if part.memory_bytes else "",
            str(part.log_path or ""),
        )
    console = Terminal()
    console.print(table)
    for name, url in now.urls.items():
        console.print(f"{name}: {url}")
    for alert in _alerts(now.urls.get("API", "")):
        runbook = f"{now.urls['API']}{alert['runbook_url']}"
        console.print(f"alert {alert['code']}: {alert['count']}, see {runbook}")
    console.print(f"Memory in total: {now.memory_bytes / _MEBIBYTE:.0f} MiB")


def _alerts(api_url: str) -> list[dict[str, Any]]:
    """Return the alerts of the running gateway; none if it tells nobody without a login."""
    try:
        alerts: list[dict[str, Any]] = httpx.get(f"{api_url}/ops/alerts", timeout=2).json()[
            "alerts"
        ]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        return []
    return alerts
