"""`dispatch verify`: the re-check of everything recorded."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.output import (
    DataDir,
    Exit,
    failed,
    owner_database_url,
    run,
    say,
    settings,
    tell,
    tell_json,
)
from policy.audit.chain import Fault
from policy.printable import on_one_line
from policy.rules.bundle import load_bundle
from records.audit.anchored_log import LogVerification
from records.audit.signing_keys import VARIABLE, signing_keys
from records.audit.verification import Scope, Verification
from runtime.environment import ConfigurationError
from runtime.objects.vault import open_vault
from runtime.stack import DEFAULT_DATA_DIR

_PROGRESS_SECONDS = 2.0


def verify(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    ticket: Annotated[
        UUID | None, typer.Option(metavar="ID", help="Look at this ticket only.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Look at this tenant only.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Re-check every recorded row from Postgres and name those that were tampered with.

    Audit chains, transitions, tickets, sealed evidence, closeout packets, the command log and
    stored answers must all tell the same, and so must the signed checkpoints of the audit log,
    unless one ticket or tenant is meant. The exit code is 0 if they do, else 1.

    The login of DISPATCH_DATABASE_URL must see every tenant: the owner's, or a role with
    BYPASSRLS and SELECT. Without that variable the running embedded stack is meant.
    """
    url = owner_database_url(data_dir)
    if url is None:
        raise failed("no database: set DISPATCH_DATABASE_URL or start the stack (dispatch up)")
    scope = Scope(ticket, tenant)
    anchors = _anchors(url, data_dir) if scope == Scope() else None
    done, faults = run(_verify(url, scope, anchors, quiet=as_json))
    if ticket is not None and not any(done.rows.values()):
        raise failed(f"nothing is recorded of ticket {ticket}")
    _tell(done, anchors, faults, as_json=as_json)
    raise typer.Exit(Exit.FAILED if faults else Exit.DONE)


def _tell(
    done: Verification, anchors: LogVerification | None, faults: Sequence[Fault], *, as_json: bool
) -> None:
    rate = done.rows["audit_events"] / done.seconds if done.seconds else 0.0
    if as_json:
        document = {
            "whole": not faults,
            "faults": [fault._asdict() for fault in faults],
            "rows": dict(done.rows),
            "seconds": round(done.seconds, 3),
            "audit_rows_per_second": round(rate),
            "anchored_rows": anchors.rows if anchors else None,
            "checkpoints": anchors.checkpoints if anchors else None,
        }
        tell_json(document)
    else:
        checked = ", ".join(f"{count:,} {table}" for table, count in sorted(done.rows.items()))
        tell(f"checked {checked} in {done.seconds:.1f} s ({rate:,.0f} audit rows/s)")
        if anchors is not None:
            counts = f"{anchors.rows:,} anchored rows, {anchors.checkpoints:,} checkpoints"
            tell(f"checked {counts} in {anchors.seconds:.1f} s")
        tell(f"TAMPERED: {len(faults)} faults" if faults else "whole")


def _anchors(url: str, data_dir: Path) -> LogVerification | None:
    """Return the check of the anchored log, None where there are no keys to check it with."""
    chosen = settings(data_dir)
    try:
        keys = signing_keys(chosen)
    except ConfigurationError as fault:
        raise failed(str(fault)) from None
    if keys is None:
        say(f"{VARIABLE} is not set: checkpoints are not checked")
        return None
    return LogVerification(url, keys, open_vault(chosen))


async def _verify(
    url: str, scope: Scope, anchors: LogVerification | None, *, quiet: bool
) -> tuple[Verification, list[Fault]]:
    check = Verification(url, frozenset(load_bundle().pairs), scope, _Progress().tell)
    faults: dict[object, Fault] = {}
    for each in (check, anchors) if anchors else (check,):
        async for fault in each.faults():
            row = fault.row_id or fault
            if row not in faults and not quiet:
                tell(on_one_line(_line(fault)))
            faults.setdefault(row, fault)
    return check, list(faults.values())


class _Progress:
    """Tells now and then how far a long check is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def tell(self, check: Verification) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _PROGRESS_SECONDS
            say(f"{check.rows['audit_events']:,} audit rows checked")


def _line(fault: Fault) -> str:
    row = f" {fault.row_id}" if fault.row_id else ""
    ticket = f" of ticket {fault.ticket_id}" if fault.ticket_id else ""
    return f"{fault.table}{row}{ticket}: {fault.problem}"
