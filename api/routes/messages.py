"""Messages that fit no ticket: what a dispatcher reads, and attaches to the ticket they mean."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import JsonValue, ValidationError
from starlette.requests import Request

from api.gateway import Gateway, admitted, gateway_of
from api.reads.query import Query, encoded, read
from api.reads.view import own_ticket, reading
from api.sms import Attached, SmsDesk
from api.wire.answers import Answer, json_answer
from api.wire.body import read_body
from api.wire.errors import ApiError
from api.wire.ijson import parse_body
from api.wire.serving import Route
from policy.codes import Code
from policy.model import Actor, Role
from policy.values import PayloadModel, Uuid, format_datetime, parse_datetime, parse_uuid
from runtime.postgres.pool import DATABASE_FAULTS

OK = 200
WITHOUT_TICKET, ATTACH = "/messages/unmatched", "/messages/{messageId}/attach"
DESK_ROLES = (Role.DISPATCHER, Role.ADMIN)
DEFAULT_LIMIT = 200
LISTED = """
SELECT id, channel, from_addr, to_addr, body, created_at FROM messages
 WHERE ticket_id IS NULL AND direction = 'INBOUND'
   AND ($1::timestamptz IS NULL OR (created_at, id) > ($1, $2::uuid))
 ORDER BY created_at, id LIMIT $3
"""


class Target(PayloadModel):
    """The ticket that a message is about."""

    ticket_id: Uuid


def message_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", WITHOUT_TICKET, _unmatched)
    yield Route("POST", ATTACH, _attach)


async def _unmatched(request: Request) -> Answer:
    """Answer the messages of the tenant that fit no ticket, oldest first, page by page."""
    gateway, actor = gateway_of(request), await _at_the_desk(request)
    query = Query(request.query_params)
    limit, after = query.limit(DEFAULT_LIMIT), query.cursor()
    position: tuple[Any, Any] = (None, None)
    if after is not None:
        at = read("cursor", parse_datetime, after.get("at"))
        position = (at, read("cursor", parse_uuid, after.get("id")))
    try:
        async with reading(gateway.pool, actor) as conn:
            rows = await conn.fetch(LISTED, *position, limit + 1)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = {"at": last["created_at"].isoformat(), "id": str(last["id"])}
    shown = [_shape(row) for row in rows[:limit]]
    return json_answer(OK, {"messages": shown, "next_cursor": encoded(cursor)})


def _shape(row: asyncpg.Record) -> Mapping[str, Any]:
    return {
        "id": str(row["id"]),
        "channel": row["channel"],
        "from": row["from_addr"],
        "to": row["to_addr"],
        "body": row["body"],
        "received_at": format_datetime(row["created_at"]),
    }


async def _attach(request: Request) -> Answer:
    """File a message with a ticket; safe to repeat."""
    gateway, actor = gateway_of(request), await _at_the_desk(request)
    message_id = _message_id(request)
    ticket_id = _target(parse_body(await read_body(request)))
    try:
        async with reading(gateway.pool, actor) as conn:
            await own_ticket(conn, actor, ticket_id)
        attached = await _desk(gateway, actor).attach(message_id, ticket_id, actor)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    if attached is Attached.UNKNOWN:
        raise ApiError(Code.MESSAGE_NOT_FOUND)
    if attached is Attached.ELSEWHERE:
        raise ApiError(Code.MESSAGE_ALREADY_ATTACHED)
    return json_answer(OK, {"message_id": str(message_id), "ticket_id": str(ticket_id)})


async def _at_the_desk(request: Request) -> Actor:
    """Return the caller; nobody knows whose account a message without a ticket belongs to."""
    actor = await admitted(request, DESK_ROLES)
    for field, ids in (("account_id", actor.account_ids), ("site_id", actor.site_ids)):
        if ids is not None:
            raise ApiError(Code.FORBIDDEN_SCOPE, details={"scope_field": field})
    return actor


def _desk(gateway: Gateway, actor: Actor) -> SmsDesk:
    return SmsDesk(gateway.pool, gateway.bundle, actor.tenant_id)


def _message_id(request: Request) -> UUID:
    try:
        return parse_uuid(request.path_params["messageId"])
    except ValueError:
        raise ApiError(Code.MESSAGE_NOT_FOUND) from None


def _target(body: JsonValue) -> UUID:
    try:
        return Target.model_validate(body).ticket_id
    except ValidationError:
        raise ApiError(Code.INVALID_REQUEST, message="ticket_id must be a UUID.") from None
