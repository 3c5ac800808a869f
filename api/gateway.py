"""What the gateway process owns while it serves, and how a request gets at it."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from api.command.call import Call
from api.command.pipeline import Pipeline
from api.ops.alerts import Alerts
from api.ops.health import Health
from api.reads.surface import ToolSurface
from api.reads.tools import ReadTools
from api.wire.counters import Counters
from api.wire.errors import ApiError
from api.wire.serving import request_log_of
from policy.billing.price_list import PriceList
from policy.codes import Code
from policy.model import Actor, Role
from policy.rules.bundle import Bundle, ToolRule
from policy.values import parse_uuid
from records.dossier.builder import Dossiers
from records.dossier.papers import Papers
from records.evidence.keeping import EvidenceVault
from runtime.postgres.pool import Pool
from runtime.settings import Settings


@dataclass(frozen=True)
class Ops:
    """What operators ask."""

    health: Health
    counters: Counters
    alerts: Alerts


@dataclass(frozen=True)
class Records:
    """What is kept, and what is made of it. `dossiers` is None without a key to sign them with."""

    dossiers: Dossiers | None
    prices: PriceList
    vault: EvidenceVault
    papers: Papers


@dataclass(frozen=True)
class Gateway:
    """What the process owns while it serves, by the room that uses it."""

    settings: Settings
    bundle: Bundle
    pool: Pool
    pipeline: Pipeline
    reads: ReadTools
    surface: ToolSurface
    ops: Ops
    records: Records


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that serves a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def admitted(request: Request, roles: Collection[Role]) -> Actor:
    """Return who calls a route that is no tool, or raise what keeps the caller out."""
    gateway = gateway_of(request)
    identity = await gateway.pipeline.identify(request.headers, request_log_of(request))
    if identity.actor_role in roles:
        return identity.actor
    raise ApiError(
        Code.FORBIDDEN,
        details={
            "actor_role": identity.actor_role.value,
            "allowed_roles": [role.value for role in roles],
        },
    )


def call_of(
    request: Request, name: str, rule: ToolRule, ticket_id: UUID | None, body: object
) -> Call:
    """Return the tool call that a request makes, and note for the log which tool it names."""
    request_log = request_log_of(request)
    request_log.tool_name, request_log.is_command = name, rule.mutating
    return Call(name, rule, ticket_id, body, request_log.context, request.headers, request_log)


def path_ticket_id(request: Request, code: Code) -> UUID:
    """Return the ticket id of the path, or raise `code`."""
    try:
        return parse_uuid(request.path_params["ticketId"])
    except ValueError:
        raise ApiError(code) from None
