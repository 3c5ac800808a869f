"""Facts from the object store, gathered before the transaction (contract 3.1, outside look-ups)."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from activities.evidence.store import ObjectStore
from policy.command.effects import Denial
from policy.command.message import Command
from policy.command.registry import command_tool
from policy.evidence.model import LookUp, SignedUpload, StoredObject
from policy.evidence.references import pinned_versions
from policy.evidence.uploads import object_key
from policy.rules.bundle import Bundle
from policy.ticket.facts import OUTSIDE, Need
from records.evidence.look_ups import look_up_all
from records.evidence.rows import STATE, evidence_of, twin_of, upload_of
from runtime.postgres.pool import Pool, reading


class Outside:
    """What the object store knows of a command. No lock is held meanwhile."""

    def __init__(self, pool: Pool, bundle: Bundle, store: ObjectStore) -> None:
        self._pool = pool
        self._bundle = bundle
        self._store = store

    async def gather(
        self,
        command: Command,
        payload: Any,  # noqa: ANN401  the tool's own model, or its denial
    ) -> dict[str, Any]:
        """Return the fields of the ticket's facts for what the tool needs of the store.

        Each need is the name of the method that sees to it.
        """
        if isinstance(payload, Denial):
            return {}
        needs = command_tool(command.tool).needs & OUTSIDE
        return {need: await getattr(self, need)(command, payload) for need in needs}

    async def look_ups(
        self,
        command: Command,
        payload: Any,  # noqa: ANN401  the tool's own model
    ) -> Mapping[str, LookUp] | None:
        """Return what is stored for every reference the tool judges; None when look-ups are off.

        The references are read again inside the transaction; one that came meanwhile has no
        look-up and counts as invalid.
        """
        if not self._bundle.evidence.require_head:
            return None
        if Need.EVIDENCE not in command_tool(command.tool).needs:
            return await look_up_all(self._store, {payload.uri: None})
        async with reading(self._pool, command.actor.tenant_id) as conn:
            rows = await evidence_of(conn, command.ticket_id)
        return await look_up_all(self._store, pinned_versions(rows))

    async def presigned(
        self,
        command: Command,
        payload: Any,  # noqa: ANN401  the tool's own model
    ) -> SignedUpload | None:
        """Return the permission to upload what the payload announces; None without a store."""
        if command.ticket_id is None:
            return None
        upload_id = uuid4()
        key = object_key(command.actor.tenant_id, command.ticket_id, upload_id, payload.sha256)
        signed = await self._store.presign(
            key, payload.content_type, payload.size_bytes, payload.sha256
        )
        if signed is None:
            return None
        return SignedUpload(upload_id=upload_id, object_key=key, **dict(signed))

    async def stored(
        self,
        command: Command,
        payload: Any,  # noqa: ANN401  the tool's own model
    ) -> StoredObject | None:
        """Return what the store holds for an upload that may still be finalized, then locked."""
        async with reading(self._pool, command.actor.tenant_id) as conn:
            upload = await upload_of(conn, payload.uri)
            state = await conn.fetchval(STATE, command.ticket_id)
            twin = None if upload is None else await twin_of(conn, upload)
        if upload is None or (upload.ticket_id, upload.uri) != (command.ticket_id, payload.uri):
            return None
        if upload.evidence_item_id is not None or upload.abandoned:
            return None
        if state not in (self._bundle.tools[command.tool].from_states or ()):
            return None
        return await self._store.accept(upload, lock=twin is None)
