"""`dispatch outbox run` and `list`: delivering by hand, and what waits or failed."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from cli.delivery.rows import tenant_transaction
from cli.output import DataDir, tell, tell_json
from cli.terminal import Terminal
from cli.work import run, say_records, settings
from policy.delivery.retry import OutboxStatus
from policy.values import format_datetime
from relay.main import deliver
from runtime.client import DEFAULT_DATA_DIR
from runtime.settings import Settings

LIST = """
SELECT id, status, event_type, aggregate_id, attempt_count, next_attempt_at, last_error, created_at
  FROM dispatch_outbox WHERE $1::text IS NULL OR status = $1
 ORDER BY created_at DESC, id LIMIT $2
"""
HEADINGS = ("EVENT", "ABOUT", "ATTEMPTS", "NEXT", "ERROR")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run_outbox(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="How often to look; DISPATCH_OUTBOX_ITERATIONS, else once."),
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver what is due, as `dispatch-outbox` does all the time, and say how it went.

    Nothing is sent unless DISPATCH_SMS_ENABLED is true. Failed messages do not make the command
    fail: they are tried again later.
    """
    chosen = settings(data_dir)
    times = 1 if once else iterations or chosen.outbox_iterations
    say_records()
    result = run(deliver(chosen, times)).answer()
    if as_json:
        tell_json(result, indent=False)
    else:
        tell(", ".join(f"{name} {value}" for name, value in result.items()))


def list_outbox(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    status: Annotated[
        OutboxStatus | None, typer.Option(case_sensitive=False, help="Only those.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """Show messages without their content: what waits, what was sent, what nobody accepted.

    A dead letter goes out again with `dispatch outbox replay`.
    """
    rows = run(_listed(settings(data_dir), tenant, status, limit))
    if as_json:
        tell_json(rows)
    else:
        Terminal().print(_table(rows))


async def _listed(
    chosen: Settings, tenant: str, status: OutboxStatus | None, limit: int
) -> list[dict[str, Any]]:
    async with tenant_transaction(chosen, tenant) as conn:
        return [_entry(dict(row)) for row in await conn.fetch(LIST, status, limit)]


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "id": str(row["id"]),
        "next_attempt_at": format_datetime(row["next_attempt_at"]),
        "created_at": format_datetime(row["created_at"]),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    fixed = (Column("ID", no_wrap=True, min_width=36), Column("STATUS", no_wrap=True))
    table = Table(*fixed, *(Column(name, overflow="fold") for name in HEADINGS), box=None)
    for row in rows:
        due = row["next_attempt_at"] if row["status"] == OutboxStatus.PENDING else ""
        attempts, error = str(row["attempt_count"]), row["last_error"] or ""
        table.add_row(
            *(row["id"], row["status"], row["event_type"], row["aggregate_id"]),
            *(attempts, due, error),
        )
    return table
