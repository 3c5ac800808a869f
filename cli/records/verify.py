"""`dispatch verify`: the re-check of everything recorded."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.caller import owner_database_url
from cli.output import DataDir, Exit, failed, say, tell, tell_json
from cli.work import run, settings
from policy.audit.chain import Fault
from policy.printable import on_one_line
from policy.rules.bundle import load_bundle
from policy.values import format_datetime
from records.audit.anchored_log import LogVerification
from records.audit.signing_keys import VARIABLE, signing_keys
from records.audit.verification import Scope, Verification
from runtime.client import DEFAULT_DATA_DIR
from runtime.environment import ConfigurationError
from runtime.objects.vault import open_vault

_PROGRESS_SECONDS = 2.0


def verify(  # noqa: PLR0913  one argument for each option
    data_dir: DataDir = DEFAULT_DATA_DIR,
    ticket: Annotated[
        UUID | None, typer.Option(metavar="ID", help="Look at this ticket only.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Look at this tenant only.")] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER:ROOT", help="A root that was kept elsewhere; repeatable."),
    ] = None,
    *,
    allow_unanchored: Annotated[
        bool, typer.Option(help="Pass although keys or object store are missing to check with.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Re-check every recorded row from Postgres and name those that were tampered with.

    Audit chains, transitions, tickets, sealed evidence, closeout packets, the command log and
    stored answers must all tell the same, and so must the signed checkpoints of the audit log and
    their copies in the object store, unless one ticket or tenant is meant. The exit code is 0 if
    they do, else 1. That takes DISPATCH_SIGNING_KEYS (public halves do) and a login to the bucket.

    The newest root is printed: keep it where the administrators of this installation cannot write,
    and give it back with --known.

    The login of DISPATCH_DATABASE_URL must see every tenant: the owner's, or a role with
    BYPASSRLS and SELECT. Without that variable the running embedded stack is meant.
    """
    url = owner_database_url(data_dir)
    if url is None:
        raise failed("no database: set DISPATCH_DATABASE_URL or start the stack (dispatch up)")
    scope, anchors = Scope(ticket, tenant), None
    if scope == Scope():
        anchors = _anchors(url, data_dir, _roots(known or ()), allowed=allow_unanchored)
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
            "newest_checkpoint": anchors.newest.body() if anchors and anchors.newest else None,
        }
        tell_json(document)
    else:
        checked = ", ".join(f"{count:,} {table}" for table, count in sorted(done.rows.items()))
        tell(f"checked {checked} in {done.seconds:.1f} s ({rate:,.0f} audit rows/s)")
        if anchors is not None:
            counts = f"{anchors.rows:,} anchored rows, {anchors.checkpoints:,} checkpoints"
            tell(f"checked {counts} in {anchors.seconds:.1f} s")
            if newest := anchors.newest:
                signed = f"{newest.tree_size:,} rows, signed by {newest.key_id}"
                at = format_datetime(newest.created_at)
                tell(f"newest root {newest.number}:{newest.root_hash} of {signed} at {at}")
        tell(f"TAMPERED: {len(faults)} faults" if faults else "whole")


def _anchors(
    url: str, data_dir: Path, known: Mapping[int, str], *, allowed: bool
) -> LogVerification | None:
    """Return the check of the anchored log; None where it is allowed to lack the keys for it."""
    chosen = settings(data_dir)
    try:
        keys, vault = signing_keys(chosen), open_vault(chosen)
    except ConfigurationError as fault:
        raise failed(str(fault)) from None
    for is_missing, variable, what in (
        (keys is None, VARIABLE, "checkpoints"),
        (vault is None, "DISPATCH_S3_BUCKET", "copies of checkpoints"),
    ):
        if is_missing:
            message = f"{variable} is not set: {what} cannot be checked"
            if not allowed:
                raise failed(f"{message} (--allow-unanchored to go without)")
            say(message)
    return None if keys is None else LogVerification(url, keys, vault, known)


def _roots(entries: Iterable[str]) -> dict[int, str]:
    """Return the kept roots by number; raises what ends the command for anything else."""
    found = [re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", entry) for entry in entries]
    if None in found:
        raise failed("--known takes NUMBER:ROOT as this command prints it")
    return {int(each[1]): each[2] for each in found if each}


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
