"""The routes of the tool surface: the list of tools, and any tool by its name (contract 11)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request

from api.command.call import Call
from api.gateway import Gateway, admitted, call_of, gateway_of
from api.reads.query import Query, query_of_payload
from api.reads.surface import READERS
from api.reads.tools import ReadRequest
from api.wire.answers import Answer, json_answer
from api.wire.body import read_body
from api.wire.context import RequestContext
from api.wire.errors import ApiError
from api.wire.ijson import parse_body
from api.wire.serving import Route, request_log_of
from policy.codes import Code
from policy.command.effects import Denial
from policy.command.payload import invalid_request
from policy.model import Role
from policy.rules.bundle import ToolRule
from policy.values import parse_uuid

OK, ACCEPTED = 200, 202


def surface_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("GET", "/tools", _list)
    yield Route("POST", "/tools/{name}", _call)


async def _list(request: Request) -> Answer:
    await admitted(request, READERS)
    return json_answer(OK, gateway_of(request).surface.listing())


class ToolCall(NamedTuple):
    """The body of a tool call, once its shape is right."""

    payload: dict[str, Any]
    names_ticket: bool


async def _call(request: Request) -> Answer:
    gateway, request_log = gateway_of(request), request_log_of(request)
    body = parse_body(await read_body(request))
    request_log.context, ticket_id = (
        _context(request_log.context, body),
        _uuid_in(body, "ticket_id"),
    )
    request_log.ticket_id = None if ticket_id is None else str(ticket_id)
    identity = await gateway.pipeline.identify(request.headers, request_log)
    word = request.path_params["name"]
    name = gateway.surface.name_of(word)
    if name is None:
        raise ApiError(Code.UNKNOWN_TOOL, details={"tool_name": word})
    rule = gateway.bundle.tools[name]
    call = call_of(request, name, rule, ticket_id if rule.requires_ticket_id else None, {})
    sent = _role_denial(call, identity.actor_role) or _tool_call(call, body)
    if isinstance(sent, Denial):
        raise await gateway.pipeline.refused(call, sent)
    request_log.context = _with_key(request_log.context, rule)
    call = replace(call, body=sent.payload, context=request_log.context)
    if ticket_id is None and (rule.requires_ticket_id or sent.names_ticket):
        raise await gateway.pipeline.refused(call, Denial(code=Code.INVALID_TICKET_ID))
    if not rule.mutating:
        return _wrapped(call, await _read(gateway, call, ticket_id))
    answer = await gateway.pipeline.command(call)
    return answer if answer.code or answer.status == ACCEPTED else _wrapped(call, answer)


async def _read(gateway: Gateway, call: Call, ticket_id: UUID | None) -> Answer:
    actor = await gateway.pipeline.admit(call)
    members = {"ticket_id": str(ticket_id)} if ticket_id else {}
    query = Query(query_of_payload({**members, **call.body}))
    wanted = ReadRequest(call.tool, actor, ticket_id, query)
    return json_answer(OK, await gateway.reads.read(wanted))


def _role_denial(call: Call, role: Role) -> Denial | None:
    if role in call.rule.roles:
        return None
    details = {
        "tool_name": call.tool,
        "actor_role": role.value,
        "allowed_roles": [each.value for each in call.rule.roles],
    }
    return Denial(code=Code.TOOL_ROLE_FORBIDDEN, details=details)


def _tool_call(call: Call, body: object) -> ToolCall | Denial:
    """Return the body understood, or what is wrong with its shape."""
    if not isinstance(body, dict):
        return invalid_request(call.tool, [("", "must be an object")])
    faults = []
    payload = {} if body.get("payload") is None else body["payload"]
    if not isinstance(payload, dict):
        faults.append(("/payload", "must be an object"))
    if body.get("request_id") is not None:
        key = _uuid_in(body, "request_id")
        if key is None:
            faults.append(("/request_id", "must be a UUID of 36 characters"))
        elif (call.context.idempotency_key or "").lower() != str(key):
            faults.append(("/request_id", "must equal the Idempotency-Key header"))
    if faults:
        return invalid_request(call.tool, faults)
    return ToolCall(payload, body.get("ticket_id") is not None)


def _uuid_in(body: object, name: str) -> UUID | None:
    """Return a member of the body, if it is a UUID."""
    try:
        return parse_uuid(body.get(name)) if isinstance(body, dict) else None
    except ValueError:
        return None


def _context(context: RequestContext, body: object) -> RequestContext:
    """Return the context of a tool call: the path names the tool, the body may name the key."""
    context = replace(context, tool_name=None)
    key = _uuid_in(body, "request_id")
    if key is None or (context.idempotency_key or str(key)).lower() != str(key):
        return context
    sent = body["request_id"] if isinstance(body, dict) else None
    return replace(context, request_id=sent, idempotency_key=sent)


def _with_key(context: RequestContext, rule: ToolRule) -> RequestContext:
    """Return the context with a key: without one from the caller, a command gets its own."""
    if context.idempotency_key is not None or not rule.mutating:
        return context
    key = str(uuid4())
    return replace(context, request_id=key, idempotency_key=key)


def _wrapped(call: Call, answer: Answer) -> Answer:
    body = {
        "tool_name": call.tool,
        "endpoint": call.rule.route,
        "request_id": call.context.request_id,
        "correlation_id": call.context.correlation_id,
        "status": answer.status,
        "data": orjson.Fragment(answer.content),
    }
    return replace(answer, content=orjson.dumps(body))
