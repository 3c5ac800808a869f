"""The routes of the tools, from the registry: commands and reads (contract 6)."""

from collections.abc import Iterator
from dataclasses import replace

from starlette.requests import Request

from api.gateway import call_of, gateway_of, path_ticket_id
from api.reads.query import Query
from api.reads.tools import ReadRequest
from api.wire.answers import Answer, json_answer
from api.wire.body import read_body
from api.wire.ijson import parse_body
from api.wire.serving import Handler, Route
from policy.codes import Code
from policy.rules.bundle import Bundle, ToolRule

# A ticket id that is no uuid makes these no route at all (contract 3.1, step 1).
STRICT_READS = frozenset({"tech.job_packet", "ops.autonomy.replay"})


def tool_routes(bundle: Bundle) -> Iterator[Route]:
    """Yield the route of every tool."""
    for name, rule in bundle.tools.items():
        handler = _command(name, rule) if rule.mutating else _read(name, rule)
        yield Route(rule.method, rule.route, handler)


def _command(name: str, rule: ToolRule) -> Handler:
    async def handle(request: Request) -> Answer:
        ticket_id = path_ticket_id(request, Code.NOT_FOUND) if rule.requires_ticket_id else None
        call = call_of(request, name, rule, ticket_id, {})
        call = replace(call, body=parse_body(await read_body(request)))
        return await gateway_of(request).pipeline.command(call)

    return handle


def _read(name: str, rule: ToolRule) -> Handler:
    async def handle(request: Request) -> Answer:
        ticket_id = None
        if name in STRICT_READS:
            ticket_id = path_ticket_id(request, Code.NOT_FOUND)
        call = call_of(request, name, rule, ticket_id, {})
        gateway = gateway_of(request)
        actor = await gateway.pipeline.admit(call)
        if rule.requires_ticket_id and ticket_id is None:
            ticket_id = path_ticket_id(request, Code.INVALID_TICKET_ID)
        wanted = ReadRequest(name, actor, ticket_id, Query(request.query_params))
        return json_answer(200, await gateway.reads.read(wanted))

    return handle
