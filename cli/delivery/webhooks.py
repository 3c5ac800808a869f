"""`dispatch webhook add`, `list` and `remove`: who is told of what happens."""

import os
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.table import Column, Table

from cli.delivery.rows import tenant_transaction
from cli.output import DataDir, failed, tell, tell_json
from cli.terminal import Terminal
from cli.work import run, settings
from contracts.standard_webhooks import SECRET_BYTES, new_secret
from runtime.client import DEFAULT_DATA_DIR
from runtime.environment import Mode
from runtime.public_hosts import is_public
from runtime.settings import Settings

ADD = """
INSERT INTO webhook_subscriptions (tenant_id, url, event_types, secrets)
VALUES ($1, $2, $3, $4) RETURNING id
"""
LIST = """
SELECT id, url, event_types, is_active FROM webhook_subscriptions ORDER BY created_at, id
"""
REMOVE = """
UPDATE webhook_subscriptions SET is_active = false WHERE id = $1 AND is_active RETURNING id
"""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tenant = Annotated[str, typer.Option(help="Tenant.")]


def add(
    url: Annotated[str, typer.Argument(help="Where events are posted; https in production.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    event: Annotated[
        list[str] | None,
        typer.Option(help="A tool, such as ticket.close; repeatable. Without it: everything."),
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Add a subscriber and print its secret, which is not shown again.

    Events come signed by the Standard Webhooks scheme, at least once, as long as `dispatch-outbox`
    runs with DISPATCH_SMS_ENABLED=true.
    """
    if not url.startswith(("http://", "https://")):
        raise failed("the URL must begin with https:// or http://")
    chosen = settings(data_dir)
    if not _may_be_reached(chosen, url):
        raise failed("in production the address must be public, or among DISPATCH_WEBHOOK_HOSTS")
    secret = new_secret(os.urandom(SECRET_BYTES))
    values = (tenant, url, event or ["*"], [secret])
    rows = run(_asked(chosen, tenant, ADD, *values))
    tell_json({"id": rows[0]["id"], "secret": secret}, indent=False)


def list_subscribers(
    data_dir: DataDir = DEFAULT_DATA_DIR, tenant: Tenant = "default", *, as_json: AsJson = False
) -> None:
    """Show the subscribers of a tenant, without their secrets."""
    rows = run(_asked(settings(data_dir), tenant, LIST))
    if as_json:
        tell_json(rows)
        return
    table = Table(Column("ID", no_wrap=True, min_width=36), "URL", "EVENTS", "ACTIVE", box=None)
    for row in rows:
        active = "yes" if row["is_active"] else "no"
        table.add_row(str(row["id"]), row["url"], ", ".join(row["event_types"]), active)
    Terminal().print(table)


def remove(
    subscription: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the subscription.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    tenant: Tenant = "default",
) -> None:
    """Switch a subscriber off; what still waits for it fails."""
    if not run(_asked(settings(data_dir), tenant, REMOVE, subscription)):
        raise failed("there is no such active subscription")
    tell(f"removed {subscription}")


def _may_be_reached(chosen: Settings, url: str) -> bool:
    """Return False for an address that delivery would refuse; names are judged at delivery."""
    try:
        host = httpx.URL(url).host
        public = is_public(host)
    except (ValueError, httpx.InvalidURL):
        return True
    return public or chosen.mode is not Mode.PRODUCTION or host in chosen.webhook_hosts


async def _asked(chosen: Settings, tenant: str, sql: str, *values: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    async with tenant_transaction(chosen, tenant) as conn:
        return [dict(row) for row in await conn.fetch(sql, *values)]
