"""Where scenarios are played: the gateway in use, who acts, and what their names stand for."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from cli.caller import Caller
from cli.identity import development_identity
from cli.output import say
from cli.scenario.walk import Credentials
from cli.work import settings
from policy.model import Role
from policy.values import format_datetime
from runtime.client import read_client
from runtime.settings import Settings
from runtime.stack import PREFERRED_PORTS, EmbeddedStack

CONNECT_SECONDS = 5.0


@asynccontextmanager
async def gateway(data_dir: Path) -> AsyncIterator[Settings]:
    """Give the settings of the API to use; it is started and stopped here if there is none."""
    if os.environ.get("DISPATCH_API_URL") or await _runs(data_dir):
        yield settings(data_dir)
        return
    say(f"No stack runs on {data_dir}: starting one.")
    _end_cleanly_on_signals()
    async with EmbeddedStack(data_dir, ports=PREFERRED_PORTS, environ=os.environ):
        yield settings(data_dir)
        say("Stopping the stack. Its data stays: `dispatch up` shows the ticket again.")


def _end_cleanly_on_signals() -> None:
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _runs(data_dir: Path) -> bool:
    client = read_client(data_dir)
    url = client.env.get("DISPATCH_API_URL") if client else None
    if url is None:
        return False
    try:
        async with httpx.AsyncClient(base_url=url, timeout=CONNECT_SECONDS) as http:
            return (await http.get("/health/live")).is_success
    except httpx.TransportError:
        return False


def credentials(chosen: Settings, prefix: str) -> Credentials:
    """Return what identifies the actor `<prefix>-<role>`.

    It is a token where a secret is known, else dev headers.
    """
    secret = chosen.auth_jwt_secret
    caller = Caller(
        secret=None if secret is None else secret.get_secret_value(),
        issuer=chosen.auth_jwt_issuer,
        audience=chosen.auth_jwt_audience,
    )

    def identify(role: Role) -> dict[str, str]:
        bound = {"technician_id": str(chosen.demo_tech_id)} if role is Role.TECHNICIAN else {}
        return development_identity(caller, role, prefix, bound)

    return identify


def names(chosen: Settings) -> dict[str, str]:
    """Return the values that the scenario refers to; the visit is tomorrow."""
    morning = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    moments: dict[str, datetime] = {}
    for name, hours in (("window", 24), ("later", 28)):
        moments[f"{name}_start"] = morning + timedelta(hours=hours)
        moments[f"{name}_end"] = morning + timedelta(hours=hours + 2)
    return {
        "account_id": str(chosen.demo_account_id),
        "site_id": str(chosen.demo_site_id),
        "tech_id": str(chosen.demo_tech_id),
        **{name: format_datetime(moment) for name, moment in moments.items()},
    }
