"""Opening what the gateway owns: connections, clients and everything built on them."""

from contextlib import AsyncExitStack

from api.cockpit.page import Cockpit
from api.command.address import Address
from api.command.bus import Bus
from api.command.outcomes import Outcomes
from api.command.pipeline import Pipeline
from api.gateway import Gateway, Ops, Records
from api.identity.authenticator import Authenticator
from api.ops.alerts import Alerts
from api.ops.health import Health
from api.ops.metrics_sink import metrics_sink
from api.reads.autonomy import AutonomyReads
from api.reads.job_packet import JobPackets
from api.reads.surface import ToolSurface
from api.reads.ticket import TicketReads
from api.reads.tools import ReadTools
from api.ticket.address import TicketAddress
from api.wire.counters import Counters
from policy.billing.price_list import load_price_list
from policy.command.message import TICKET
from policy.rules.bundle import Bundle
from records.dossier.builder import open_dossiers
from records.dossier.papers import Papers
from records.evidence.keeping import EvidenceVault
from records.evidence.store import EvidenceStore
from runtime.postgres.pool import GATEWAY_ROLE, Pool, assert_application_role, create_pool
from runtime.settings import Settings
from runtime.telemetry.handles import Tracing
from runtime.temporal.client import connect_temporal
from runtime.temporal.command_key import command_key
from runtime.temporal.destinations import destinations
from runtime.temporal.sending import Sender

HEALTH_CONNECTIONS = 2


async def opened(  # noqa: PLR0913, PLR0917  one argument for each thing made before
    stack: AsyncExitStack,
    settings: Settings,
    bundle: Bundle,
    authenticator: Authenticator,
    tracing: Tracing,
    counters: Counters,
) -> Gateway:
    """Open what the gateway owns; `stack` closes it."""
    url = settings.database_url.get_secret_value()
    pool = await opened_pool(stack, settings, "dispatch-api", settings.db_pool_max, tracing)
    async with pool.acquire() as conn:
        await assert_application_role(conn)
        key = await command_key(settings, conn)
    client = await connect_temporal(settings, lazy=True, interceptors=tracing.interceptors)
    outcomes = Outcomes(pool, url, counters)
    stack.push_async_callback(outcomes.stop)
    await outcomes.start()
    bus = Bus(pool, Sender(client, destinations(bundle, settings)), key, bundle)
    # Its own connections: a busy pool must not make a healthy database look down.
    spare = await opened_pool(stack, settings, "dispatch-health", HEALTH_CONNECTIONS, tracing)
    health = Health(settings, bundle, spare, client)
    surface = ToolSurface(bundle, health)
    store = EvidenceStore(settings, bundle.evidence)
    stack.callback(store.close)
    await stack.enter_async_context(metrics_sink(settings.metrics_sink_path, counters))
    prices, dossiers = load_price_list(settings.price_list), open_dossiers(settings, bundle)
    return Gateway(
        settings=settings,
        bundle=bundle,
        pool=pool,
        pipeline=Pipeline(bundle, authenticator, bus, outcomes, addresses(pool, bundle), settings),
        reads=read_tools(pool, bundle, store, surface),
        surface=surface,
        ops=Ops(health, counters, Alerts(settings, bundle, counters, pool)),
        records=Records(dossiers, prices, EvidenceVault(store.s3), Papers()),
    )


def addresses(pool: Pool, bundle: Bundle) -> dict[str, Address]:
    """Return how a call finds what it is about, by the `subject` of its tool."""
    return {TICKET: TicketAddress(pool, bundle)}


async def opened_pool(
    stack: AsyncExitStack, settings: Settings, name: str, size: int, tracing: Tracing
) -> Pool:
    """Return a pool of that name; `stack` closes it."""
    pool = await create_pool(
        settings.database_url.get_secret_value(),
        max_size=size,
        role=GATEWAY_ROLE,
        application_name=name,
        on_query=tracing.on_query,
    )
    stack.push_async_callback(pool.close)
    return pool


def read_tools(pool: Pool, bundle: Bundle, store: EvidenceStore, surface: ToolSurface) -> ReadTools:
    """Return the read tools by name."""
    tickets, autonomy = TicketReads(pool, bundle), AutonomyReads(pool)
    return ReadTools(
        {
            "ticket.get": tickets.ticket,
            "ticket.timeline": tickets.timeline,
            "closeout.list_evidence": tickets.evidence,
            "dispatcher.cockpit": Cockpit(pool, bundle).read,
            "tech.job_packet": JobPackets(pool, bundle, store).read,
            "ops.autonomy.state": autonomy.state,
            "ops.autonomy.replay": autonomy.replay,
            "dispatch_contract_status": surface.status,
        }
    )
