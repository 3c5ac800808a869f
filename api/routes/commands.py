"""What became of a command (contract 3.4)."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request

from api.gateway import admitted, gateway_of
from api.reads.surface import READERS
from api.reads.view import reading
from api.wire.answers import Answer, json_answer
from api.wire.errors import ApiError
from policy.codes import Code
from policy.command.access import scope_denial
from policy.model import Actor, Role
from policy.rules.bundle import Bundle
from policy.values import identifier, instant, parse_uuid
from runtime.postgres.pool import DATABASE_FAULTS

COMMAND = """
SELECT c.command_id, c.tool_name, c.ticket_id, c.actor_id, c.decision, c.response_code,
       c.response_text, c.submitted_at, c.decided_at, t.account_id, t.site_id
  FROM command_log c LEFT JOIN tickets t ON t.id = c.ticket_id
 WHERE c.command_id = $1
"""
SUPERVISORS = frozenset({Role.DISPATCHER, Role.OPS, Role.AUDIT, Role.ADMIN})
STATUS = {None: "accepted", "ALLOW": "succeeded", "DENY": "rejected"}


async def command_status(request: Request) -> Answer:
    """Answer `GET /commands/{command_id}`."""
    gateway = gateway_of(request)
    actor = await admitted(request, READERS)
    try:
        command_id = parse_uuid(request.path_params["command_id"])
    except ValueError:
        raise ApiError(Code.COMMAND_NOT_FOUND) from None
    try:
        async with reading(gateway.pool, actor) as conn:
            found = await conn.fetchrow(COMMAND, command_id)
    except DATABASE_FAULTS as error:
        raise ApiError(Code.DATABASE_UNAVAILABLE) from error
    row = dict(found or {})
    if not row or not may_see(gateway.bundle, actor, row):
        raise ApiError(Code.COMMAND_NOT_FOUND)
    return json_answer(200, _shape(row))


def may_see(bundle: Bundle, actor: Actor, row: Mapping[str, Any]) -> bool:
    """Return whether the actor submitted the command or supervises its account and site.

    A command without a known ticket belongs to no account: unless its tool is the tenant's own,
    only an unlimited scope reaches it.
    """
    if row["actor_id"] == actor.actor_id:
        return True
    if actor.actor_role not in SUPERVISORS:
        return False
    if row["account_id"] is not None:
        return scope_denial(actor, row["account_id"], row["site_id"]) is None
    rule = bundle.tools.get(row["tool_name"])
    tenant_wide = rule is not None and not (rule.requires_ticket_id or rule.creates_ticket)
    return tenant_wide or (actor.account_ids is None and actor.site_ids is None)


def _shape(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row["response_text"]
    return {
        "command_id": str(row["command_id"]),
        "tool_name": row["tool_name"],
        "ticket_id": identifier(row["ticket_id"]),
        "status": STATUS[row["decision"]],
        "response_code": row["response_code"],
        "response_body": None if text is None else orjson.Fragment(text),
        "submitted_at": instant(row["submitted_at"]),
        "decided_at": instant(row["decided_at"]),
    }
