"""The routes of the tool surface: the list of tools, and any tool by its name (contract 11)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request

from api.answers import Answer, json_answer
from api.body import read_body
from api.command_status import READERS
from api.context import RequestContext
from api.errors import ApiError
from api.gateway import Gateway, admitted, call_of, gateway_of
from api.ijson import parse_body
from api.pipeline import Call
from api.queries import Query, query_of_payload
from api.read_tools import ReadRequest
from api.serving import Route, trail_of
from policy.bundle import ToolRule
from policy.codes import Code
from policy.effects import Denial
from policy.payload import invalid_request
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
    """The body of a tool call."""

    ticket_id: object
    payload: dict[str, Any]
    request_id: str | None


async def _call(request: Request) -> Answer:
    gateway, trail = gateway_of(request), trail_of(request)
    trail.context = replace(trail.context, tool_name=None)  # the path names the tool
    body = parse_body(await read_body(request))
    identity = await gateway.pipeline.identify(request.headers, trail)
    word = request.path_params["name"]
    name = gateway.surface.name_of(word)
    if name is None:
        raise ApiError(Code.UNKNOWN_TOOL, details={"tool_name": word})
    rule = gateway.bundle.tools[name]
    call = call_of(request, name, rule, None, {})
    if identity.actor_role not in rule.roles:
        details = {
            "tool_name": name,
            "actor_role": identity.actor_role.value,
            "allowed_roles": [role.value for role in rule.roles],
        }
        raise await gateway.pipeline.refused(
            call, Denial(code=Code.TOOL_ROLE_FORBIDDEN, details=details)
        )
    sent = _tool_call(name, body, trail.context)
    if isinstance(sent, Denial):
        raise await gateway.pipeline.refused(call, sent)
    trail.context = _with_key(trail.context, rule, sent.request_id)
    ticket_id = _ticket_id(rule, sent.ticket_id)
    if isinstance(ticket_id, Denial):
        call = call_of(request, name, rule, None, sent.payload)
        raise await gateway.pipeline.refused(call, ticket_id)
    call = call_of(request, name, rule, ticket_id, sent.payload)
    answer = await _answer(gateway, call)
    return answer if answer.code or answer.status == ACCEPTED else _wrapped(call, answer)


async def _answer(gateway: Gateway, call: Call) -> Answer:
    if call.rule.mutating:
        return await gateway.pipeline.command(call)
    actor = await gateway.pipeline.admit(call)
    members = {"ticket_id": str(call.ticket_id)} if call.ticket_id else {}
    query = Query(query_of_payload({**members, **call.body}))
    wanted = ReadRequest(call.tool, actor, call.ticket_id, query)
    return json_answer(OK, await gateway.reads.read(wanted))


def _tool_call(name: str, body: object, context: RequestContext) -> ToolCall | Denial:
    """Return the body understood, or what is wrong with its shape."""
    if not isinstance(body, dict):
        return invalid_request(name, [("", "must be an object")])
    faults = []
    payload, request_id = body.get("payload"), body.get("request_id")
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        faults.append(("/payload", "must be an object"))
    if request_id is not None:
        try:
            key = parse_uuid(request_id)
        except ValueError as error:
            faults.append(("/request_id", str(error)))
        else:
            if (context.idempotency_key or request_id).lower() != str(key):
                faults.append(("/request_id", "must equal the Idempotency-Key header"))
    if faults:
        return invalid_request(name, faults)
    return ToolCall(body.get("ticket_id"), payload, request_id)


def _with_key(context: RequestContext, rule: ToolRule, request_id: str | None) -> RequestContext:
    """Return the context under the key of the body, else of the header, else of our own making."""
    if request_id is None and (context.idempotency_key is not None or not rule.mutating):
        return context
    key = request_id or str(uuid4())
    return replace(context, request_id=key, idempotency_key=key)


def _ticket_id(rule: ToolRule, value: object) -> UUID | Denial | None:
    if value is None and not rule.requires_ticket_id:
        return None
    try:
        return parse_uuid(value)
    except ValueError:
        return Denial(code=Code.INVALID_TICKET_ID)


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
