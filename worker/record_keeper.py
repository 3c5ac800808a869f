"""What a worker does besides commands: it anchors the audit log and files dossiers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from policy.rules.bundle import Bundle
from records.audit.anchoring import Anchoring, ForkedLogError
from records.audit.signing_keys import VARIABLE, signing_keys
from records.dossier.builder import open_dossiers
from records.dossier.filing import Filing, keep_bundle
from runtime.objects.vault import open_vault
from runtime.postgres.pool import DATABASE_FAULTS, Pool
from runtime.settings import Settings

TICK_SECONDS = 1.0
log = structlog.get_logger()


@asynccontextmanager
async def keeping_records(settings: Settings, pool: Pool, bundle: Bundle) -> AsyncIterator[None]:
    """Anchor and file beside the body of the context; without a key there is nothing to sign."""
    await keep_bundle(pool, bundle)
    keys, dossiers = signing_keys(settings), open_dossiers(settings, bundle)
    if keys is None or dossiers is None:
        log.warning("worker.setting", message=f"{VARIABLE} has no key: no checkpoint, no dossier")
        yield
        return
    vault = open_vault(settings)
    filing = None if vault is None else Filing(pool, dossiers, vault)
    running = asyncio.create_task(_keep(Anchoring(pool, keys, vault), filing))
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _keep(anchoring: Anchoring, filing: Filing | None) -> None:
    """Take turns until cancelled; outages are waited out."""
    while True:
        try:
            await anchoring.turn()
            if filing is not None:
                await filing.turn()
        except DATABASE_FAULTS as error:
            log.warning("records.wait", reason=repr(error))
        except ForkedLogError as error:
            log.error("audit.anchoring_stopped", reason=str(error))  # noqa: TRY400  no defect
        except Exception:  # one ticket's defect must not keep all others from being anchored
            log.exception("records.defect")
        await asyncio.sleep(TICK_SECONDS)
