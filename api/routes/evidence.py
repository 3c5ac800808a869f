"""Supporting routes of evidence: links to download it, and how far an upload is. No tools."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from starlette.requests import Request

from api.gateway import Gateway, admitted, gateway_of, path_ticket_id
from api.reads.evidence_links import LINK_PATH, UPLOAD_PATH
from api.reads.view import own_ticket, reading
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError
from api.wire.serving import Route, request_log_of
from policy.codes import Code
from policy.evidence.model import Upload
from policy.evidence.uploads import INSPECTION
from policy.evidence.variants import UNREDACTED_READERS, Redaction, Variant, is_hidden
from policy.model import Actor, Role
from policy.values import format_datetime, identifier, parse_uuid
from records.evidence.keeping import Progress, StoreUnavailableError, file_name
from records.evidence.rows import UPLOAD_COLUMNS
from runtime.postgres.pool import DATABASE_FAULTS, Connection

UPLOADED = """
SELECT i.id, i.uri, i.object_version_id, i.content_type, i.size_bytes, i.checksum, i.metadata,
       (SELECT to_jsonb(r) FROM redactions_of($1) r WHERE r.evidence_item_id = i.id) AS redaction
  FROM evidence_items i JOIN evidence_uploads u ON u.evidence_item_id = i.id
                       AND i.uri = 's3://' || u.bucket || '/' || u.object_key
 WHERE i.ticket_id = $1 AND i.id = $2
"""
UPLOAD = f"SELECT {UPLOAD_COLUMNS} FROM evidence_uploads u WHERE ticket_id = $1 AND id = $2"  # noqa: S608


REDACTION = ("uri", "object_version_id", "content_type", "size_bytes", "sha256")


class Target(NamedTuple):
    """What a link leads to."""

    uri: str
    version_id: str | None
    content_type: str | None
    size_bytes: int | None
    sha256: str | None


def evidence_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", LINK_PATH, _link)
    yield Route("GET", UPLOAD_PATH, _upload)


async def _link(request: Request) -> Answer:
    gateway = gateway_of(request)
    readers = (*gateway.bundle.tools["closeout.list_evidence"].roles, Role.AUDIT)
    actor, ticket_id, evidence_id = await _asked(request, readers, "evidenceId")
    wanted = request.query_params.get("variant")
    if wanted not in {None, *Variant}:
        raise ApiError(Code.INVALID_QUERY, details={"parameter": "variant"})
    row = await _row(gateway, actor, UPLOADED, ticket_id, evidence_id)
    redaction = Redaction.model_validate(row["redaction"]) if row["redaction"] else None
    variant = Variant(wanted or (Variant.REDACTED if redaction else Variant.ORIGINAL))
    target = _target(row, variant, redaction)
    if target is None:
        raise ApiError(Code.NOT_FOUND)
    if variant is not Variant.REDACTED and is_hidden(actor.actor_role, redaction):
        allowed = sorted(role.value for role in UNREDACTED_READERS)
        details = {"actor_role": actor.actor_role.value, "allowed_roles": allowed}
        raise ApiError(Code.FORBIDDEN, details=details)
    name = file_name(f"{evidence_id}-{variant}", target.content_type)
    seconds = gateway.settings.evidence_link_ttl_seconds
    try:
        link = await gateway.records.vault.link(target.uri, target.version_id, name, seconds)
    except StoreUnavailableError as error:
        raise ApiError(Code.OBJECT_STORE_UNAVAILABLE) from error
    answer = {
        "evidence_id": str(evidence_id),
        "ticket_id": str(ticket_id),
        "variant": variant,
        "method": "GET",
        "url": link.url,
        "expires_at": format_datetime(link.expires_at),
        "content_type": target.content_type,
        "size_bytes": target.size_bytes,
        "sha256": target.sha256,
    }
    return json_answer(200, answer)


async def _upload(request: Request) -> Answer:
    gateway = gateway_of(request)
    rule = gateway.bundle.tools["evidence.presign"]
    actor, ticket_id, upload_id = await _asked(request, rule.roles, "uploadId")
    row = await _row(gateway, actor, UPLOAD, ticket_id, upload_id)
    state = row.pop("state")
    upload = Upload(**row)
    is_open = upload.evidence_item_id is None and not upload.abandoned
    may_go_on = is_open and state in (rule.from_states or ())
    seconds = gateway.settings.evidence_presign_ttl_seconds
    try:
        progress = await gateway.records.vault.progress(upload, seconds, sign=may_go_on)
    except StoreUnavailableError as error:
        raise ApiError(Code.OBJECT_STORE_UNAVAILABLE) from error
    return json_answer(200, _status(upload, progress))


async def _asked(
    request: Request, roles: tuple[Role, ...], variable: str
) -> tuple[Actor, UUID, UUID]:
    """Return who asks, and the ids of the path; an id that is no uuid makes it no route."""
    ticket_id = path_ticket_id(request, Code.NOT_FOUND)
    request_log_of(request).ticket_id = str(ticket_id)
    try:
        other = parse_uuid(request.path_params[variable])
    except ValueError:
        raise ApiError(Code.NOT_FOUND) from None
    return await admitted(request, roles), ticket_id, other


async def _row(
    gateway: Gateway, actor: Actor, sql: str, ticket_id: UUID, row_id: UUID
) -> dict[str, Any]:
    """Return a row of a ticket that the actor may see, with the ticket's state; else 404, 403."""
    try:
        async with reading(gateway.pool, actor) as conn:
            return await _visible_row(conn, actor, sql, ticket_id, row_id)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error


async def _visible_row(
    conn: Connection, actor: Actor, sql: str, ticket_id: UUID, row_id: UUID
) -> dict[str, Any]:
    seen = await own_ticket(conn, actor, ticket_id)
    row = await conn.fetchrow(sql, ticket_id, row_id)
    if row is None:
        raise ApiError(Code.NOT_FOUND)
    return {**row, "state": seen.ticket.state}


def _target(row: Mapping[str, Any], variant: Variant, redaction: Redaction | None) -> Target | None:
    if variant is Variant.ORIGINAL:
        names = ("uri", "object_version_id", "content_type", "size_bytes", "checksum")
        return Target(*(row[name] for name in names))
    if variant is Variant.REDACTED:
        return Target(*(getattr(redaction, name) for name in REDACTION)) if redaction else None
    thumbnail = row["metadata"].get(INSPECTION, {}).get("thumbnail")
    return (
        Target(thumbnail["uri"], None, thumbnail["content_type"], None, thumbnail["sha256"])
        if thumbnail
        else None
    )


def _status(upload: Upload, progress: Progress) -> dict[str, Any]:
    closed = "abandoned" if upload.abandoned else "finalized"
    is_open = upload.evidence_item_id is None and not upload.abandoned
    return {
        "upload_id": str(upload.id),
        "ticket_id": identifier(upload.ticket_id),
        "uri": upload.uri,
        "status": "open" if is_open else closed,
        "kind": upload.kind,
        "evidence_key": upload.evidence_key,
        "content_type": upload.content_type,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "evidence_item_id": identifier(upload.evidence_item_id),
        "received": progress.received,
        "multipart": _parts(upload, progress) if upload.multipart_id else None,
    }


def _parts(upload: Upload, progress: Progress) -> dict[str, Any]:
    """Return the parts that are there, and permissions for those that are missing."""
    return {
        "part_bytes": upload.part_bytes,
        "parts_received": sorted(progress.parts_received),
        "parts": [{"method": "PUT", **part.model_dump()} for part in progress.missing],
        "expires_at": format_datetime(progress.expires_at),
    }
