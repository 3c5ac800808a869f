"""Commands without a good MAC: what may be recorded of them without trusting a word of it."""

import re
from uuid import UUID, uuid4

from policy.codes import Code
from policy.command.effects import Denial
from policy.command.message import Command
from policy.model import Actor
from policy.rules.bundle import Bundle
from policy.values import parse_uuid

_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LIMIT = 200
UNSIGNED = Denial(
    code=Code.INVALID_AUTH_TOKEN,
    message="The command did not come through the gateway: its signature is missing or wrong.",
)


def disarmed(bundle: Bundle, command: Command) -> Command:
    """Return the claim as a command that can be logged: a new id, nothing that SQL would refuse.

    The claimed command id is not kept, so that nobody can decide somebody else's open command.
    """
    known = bundle.tools.get(command.tool)
    actor = command.actor
    tenant = actor.tenant_id if _TENANT.fullmatch(actor.tenant_id) else "default"
    return Command(
        command_id=uuid4(),
        tool=command.tool if known else "unknown",
        endpoint=known.route if known else "(signal)",
        actor=Actor(
            actor_id=_printable(actor.actor_id) or "unknown",
            actor_role=actor.actor_role,
            actor_type=actor.actor_type,
            tenant_id=tenant,
        ),
        ticket_id=command.ticket_id,
        named=command.named,
        request_id=str(_uuid(command.request_id)),
        request_hash="",
        payload={},
        correlation_id=_printable(command.correlation_id),
        trace_id=None,
        submitted_at=command.submitted_at,
    )


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("", text)[:_LIMIT].strip()


def _uuid(text: str) -> UUID:
    try:
        return parse_uuid(text)
    except ValueError:
        return UUID(int=0)
