"""`dispatch evidence hold`, `release` and `redact`: what only the owner does to evidence."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.caller import owner_database_url
from cli.output import DataDir, failed, tell
from cli.work import run, settings
from records.evidence.keeping import EvidenceVault, StoreUnavailableError
from records.evidence.owner_actions import EvidenceActionError, EvidenceActions, Operator
from records.evidence.store import EvidenceStore
from runtime.bundle import installed_bundle
from runtime.client import DEFAULT_DATA_DIR
from runtime.postgres.pool import owner_transaction

Item = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the evidence.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the ticket's audit.")]
Name = Annotated[str, typer.Option("--as", help="Who does it; if blank, the system's user.")]


def hold(item: Item, reason: Reason, data_dir: DataDir = DEFAULT_DATA_DIR, name: Name = "") -> None:
    """Place a legal hold. Needs the login that owns the schema, as `dispatch migrate` does."""
    run(_held(data_dir, Operator(name or getpass.getuser(), reason), item, on=True))
    tell(f"held {item}")


def release(
    item: Item, reason: Reason, data_dir: DataDir = DEFAULT_DATA_DIR, name: Name = ""
) -> None:
    """Release a legal hold; the retention counts again."""
    run(_held(data_dir, Operator(name or getpass.getuser(), reason), item, on=False))
    tell(f"released {item}")


def redact(
    item: Item,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The redacted copy.")],
    reason: Reason,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    name: Name = "",
) -> None:
    """Store a redacted copy. From then on links lead to it; the original is for approver and audit.

    The type is told by the file's name.
    """
    tell(run(_redacted(data_dir, Operator(name or getpass.getuser(), reason), item, file)))


async def _held(data_dir: Path, operator: Operator, item: UUID, *, on: bool) -> None:
    async with _actions(data_dir, operator) as actions:
        await (actions.hold(item) if on else actions.release(item))


async def _redacted(data_dir: Path, operator: Operator, item: UUID, file: Path) -> str:
    async with _actions(data_dir, operator) as actions:
        return await actions.redact(item, file)


@asynccontextmanager
async def _actions(data_dir: Path, operator: Operator) -> AsyncIterator[EvidenceActions]:
    chosen = settings(data_dir)
    url = owner_database_url(data_dir) or chosen.database_url.get_secret_value()
    store = EvidenceStore(chosen, installed_bundle(chosen).evidence)
    try:
        async with owner_transaction(url) as conn:
            vault = EvidenceVault(store.s3)
            yield EvidenceActions(conn, vault, installed_bundle(chosen), operator)
    except EvidenceActionError as error:
        raise failed(str(error)) from None
    except StoreUnavailableError as error:
        raise failed(f"the object store does not answer {error}".strip()) from None
    finally:
        store.close()
