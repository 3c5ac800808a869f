"""Encryption on real servers: nothing that Temporal keeps shows what a ticket says."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.common import RawValue

from cli.scenario.lifecycle import CHECKLIST
from runtime.key_ring import new_key
from runtime.stack import SERVERS, EmbeddedStack
from runtime.temporal.client import connect_temporal
from runtime.temporal.codec import KeyRing
from tests.integration.servers.in_process import bearer, command, serving, settings_of, working
from tests.polling import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD, NEW = new_key("old"), new_key("new")
UI = "http://ui.example:8233"
SECRETS = ("Greta Mustermann", "+1-555-0177", "gate code 4711", "leaks behind the boiler")
TRIAGE = {"priority": "URGENT", "incident_type": "DOOR_WONT_LATCH"}
DENIED = "SELECT * FROM command_log WHERE ticket_id = $1 AND decision = 'DENY'"
DECODE = "/codec/decode"
Env = Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(data_dir: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(data_dir, parts=SERVERS) as running:
        yield running


@pytest.fixture(scope="module")
def servers(stack: EmbeddedStack) -> Env:
    return stack.env


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def env(servers: Env) -> AsyncIterator[Env]:
    """Run gateway and worker with one key, on a task queue of their own."""
    yield with_keys(servers, OLD, queue="sealed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(env: Env) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(env) as client, working(env):
        yield client


def with_keys(env: Env, keys: str, *, queue: str) -> Env:
    return {
        **env,
        "DISPATCH_PAYLOAD_KEYS": keys,
        "DISPATCH_TEMPORAL_TASK_QUEUE": queue,
        "DISPATCH_TEMPORAL_UI_ORIGIN": UI,
    }


async def create(gateway: httpx.AsyncClient, env: Env, **headers: str) -> httpx.Response:
    settings = settings_of(env)
    body = {
        "account_id": str(settings.demo_account_id),
        "site_id": str(settings.demo_site_id),
        "summary": f"Water {SECRETS[3]}",
        "description": SECRETS[2],
        "customer_name": SECRETS[0],
        "customer_phone": SECRETS[1],
    }
    return await gateway.post("/tickets", json=body, headers=command(env, **headers))


async def history_of(env: Env, ticket_id: str) -> bytes:
    """Return the raw history, as anyone with access to Temporal sees it."""
    settings = settings_of({**env, "DISPATCH_PAYLOAD_KEYS": ""})
    client = await connect_temporal(settings)
    handle = client.get_workflow_handle(f"ticket-{ticket_id}")
    history = await handle.fetch_history()
    return b"".join([event.SerializeToString() for event in history.events])


async def sealed_payload(env: Env, ticket_id: str) -> Payload:
    client = await connect_temporal(settings_of(env))
    history = await client.get_workflow_handle(f"ticket-{ticket_id}").fetch_history()
    return history.events[0].workflow_execution_started_event_attributes.input.payloads[0]


async def test_no_word_of_a_ticket_is_in_the_history_or_on_temporals_disk(
    gateway: httpx.AsyncClient, env: Env, data_dir: Path
) -> None:
    created = await create(gateway, env)
    assert created.status_code == 201, created.text
    ticket_id = created.json()["id"]
    triaged = await gateway.post(
        f"/tickets/{ticket_id}/triage",
        json={**TRIAGE, "notes": SECRETS[2]},
        headers=command(env),
    )
    assert triaged.status_code == 200, triaged.text

    history = await history_of(env, ticket_id)
    stored = b"".join(path.read_bytes() for path in (data_dir / "temporal").iterdir())
    assert ticket_id.encode() in stored
    for text in (*SECRETS, "dispatcher-1", "customer_phone", CHECKLIST[0]):
        assert text.encode() not in history
        assert text.encode() not in stored
        assert b64encode(text.encode()).rstrip(b"=")[:-1] not in stored
    assert history.count(b"binary/encrypted") > 4


async def test_the_card_and_the_summary_are_sealed_and_shown_to_whoever_has_the_key(
    gateway: httpx.AsyncClient, env: Env
) -> None:
    ticket_id = (await create(gateway, env)).json()["id"]
    with_key = await connect_temporal(settings_of(env))
    shown = await with_key.get_workflow_handle(f"ticket-{ticket_id}").describe()
    assert await shown.static_summary() == f"Water {SECRETS[3]}"

    async def card(client: Client) -> RawValue:
        handle = client.get_workflow_handle(f"ticket-{ticket_id}")
        found: RawValue = await handle.query("__temporal_workflow_metadata", result_type=RawValue)
        return found

    without = await connect_temporal(settings_of({**env, "DISPATCH_PAYLOAD_KEYS": ""}))
    assert b"ticket.create" in (await card(with_key)).payload.data
    assert (await card(without)).payload.metadata["encoding"] == b"binary/encrypted"


async def test_an_operator_reads_a_payload_through_the_codec_endpoint(
    gateway: httpx.AsyncClient, env: Env
) -> None:
    ticket_id = (await create(gateway, env)).json()["id"]
    body = MessageToDict(Payloads(payloads=[await sealed_payload(env, ticket_id)]))

    for role in ("ops", "admin"):
        headers = {**bearer(env, role), "Origin": UI, "X-Namespace": "default"}
        answer = await gateway.post(DECODE, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == UI
        assert ticket_id.encode() in b64decode(answer.json()["payloads"][0]["data"])

    back = await gateway.post("/codec/encode", json=answer.json(), headers=bearer(env, "ops"))
    again = await gateway.post(DECODE, json=back.json(), headers=bearer(env, "ops"))
    assert back.json() != body
    assert again.json() == answer.json()


async def test_nobody_else_reads_through_the_codec_endpoint(
    gateway: httpx.AsyncClient, env: Env
) -> None:
    ticket_id = (await create(gateway, env)).json()["id"]
    body = MessageToDict(Payloads(payloads=[await sealed_payload(env, ticket_id)]))

    nobody = await gateway.post(DECODE, json=body, headers={"Origin": UI})
    assert (nobody.status_code, nobody.json()["error"]["code"]) in {
        (401, "AUTH_REQUIRED"),
        (400, "MISSING_ACTOR_CONTEXT"),
    }
    assert nobody.headers["Access-Control-Allow-Origin"] == UI
    for role in ("dispatcher", "agent", "technician", "audit", "system"):
        for path in (DECODE, "/codec/encode"):
            answer = await gateway.post(path, json=body, headers=bearer(env, role))
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), role
    forged = {"Authorization": bearer(env, "ops")["Authorization"][:-4] + "AAAA"}
    assert (await gateway.post(DECODE, json=body, headers=forged)).status_code == 401


async def test_only_the_pages_of_the_ui_may_read_the_codec_endpoint(
    gateway: httpx.AsyncClient, env: Env
) -> None:
    asked = {"Origin": UI, "Access-Control-Request-Method": "POST"}
    preflight = await gateway.options(DECODE, headers=asked)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == UI
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]

    for stranger in ("http://evil.example", f"{UI}.evil.example", "null"):
        for answer in (
            await gateway.options(DECODE, headers={**asked, "Origin": stranger}),
            await gateway.post(DECODE, json={}, headers={**bearer(env, "ops"), "Origin": stranger}),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "body", [[], {"payloads": "x"}, {"payloads": [{"data": 7}]}, {"payloads": [[]]}]
)
async def test_what_is_no_list_of_payloads_is_refused(
    gateway: httpx.AsyncClient, env: Env, body: object
) -> None:
    answer = await gateway.post(DECODE, json=body, headers=bearer(env, "ops"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_an_unreadable_payload_comes_back_as_it_was(
    gateway: httpx.AsyncClient, env: Env
) -> None:
    other = KeyRing.read(NEW).seal(Payload(data=b"x"))
    body = MessageToDict(Payloads(payloads=[other]))
    answer = await gateway.post(DECODE, json=body, headers=bearer(env, "ops"))
    assert (answer.status_code, answer.json()) == (200, body)


async def test_there_is_no_codec_endpoint_without_keys(servers: Env) -> None:
    async with serving(servers) as plain:
        for answer in (
            await plain.post(DECODE, json={}, headers=bearer(servers, "ops")),
            await plain.options(DECODE, headers={"Origin": UI}),
        ):
            assert answer.status_code == 404


async def test_a_tampered_signal_is_recorded_as_denied_and_does_not_block_the_ticket(
    gateway: httpx.AsyncClient, env: Env, stack: EmbeddedStack
) -> None:
    ticket_id = (await create(gateway, env)).json()["id"]
    sealed = KeyRing.read(OLD).seal(Payload(data=b"{}"))
    broken = Payload(metadata=dict(sealed.metadata), data=sealed.data[:-1])
    stranger = await connect_temporal(settings_of({**env, "DISPATCH_PAYLOAD_KEYS": ""}))
    handle = stranger.get_workflow_handle(f"ticket-{ticket_id}")
    await handle.signal("ticket.triage", RawValue(broken))

    cancelled = await gateway.post(
        f"/tickets/{ticket_id}/cancel", json={"reason": "test"}, headers=command(env)
    )
    assert cancelled.status_code == 200, cancelled.text
    owner = await asyncpg.connect(stack.owner_database_url)
    try:
        refused = await owner.fetch(DENIED, UUID(ticket_id))
    finally:
        await owner.close()
    assert [(row["tool_name"], row["actor_id"]) for row in refused] == [
        ("ticket.triage", "unknown")
    ]


async def test_keys_rotate_while_tickets_are_open(servers: Env) -> None:
    old, both, new = (
        with_keys(servers, keys, queue="rotation") for keys in (OLD, f"{OLD},{NEW}", f"{NEW},{OLD}")
    )
    async with serving(old) as gateway, working(old):
        ticket_id = (await create(gateway, old)).json()["id"]
    async with working(both), serving(new) as gateway:  # the worker is prepared, the gateway leads
        answer = await gateway.post(
            f"/tickets/{ticket_id}/triage", json=TRIAGE, headers=command(new)
        )
        assert answer.status_code == 200, answer.text
    async with serving(new) as gateway, working(new):
        answer = await gateway.post(
            f"/tickets/{ticket_id}/cancel", json={"reason": "done"}, headers=command(new)
        )
        assert answer.json()["state"] == "CANCELLED"
    history = await history_of(new, ticket_id)
    assert b"old" in history
    assert b"new" in history


@pytest.mark.parametrize("poor", ["", NEW], ids=["without keys", "with another key"])
async def test_a_worker_that_lacks_the_key_loses_nothing(servers: Env, poor: str) -> None:
    queue = f"poor-{uuid4()}"
    rich_env = with_keys(servers, OLD, queue=queue)
    async with (
        serving(with_keys(servers, "", queue=queue)) as plain,
        working(with_keys(servers, "", queue=queue)),
    ):
        ticket_id = (await create(plain, rich_env)).json()["id"]
    async with serving(rich_env) as gateway:
        async with working(with_keys(servers, poor, queue=queue)):
            waiting = await gateway.post(
                f"/tickets/{ticket_id}/cancel",
                json={"reason": "done"},
                headers=command(rich_env, Prefer="wait=2"),
            )
            assert waiting.status_code == 202, waiting.text
        async with working(rich_env):

            async def decided() -> bool:
                found = await gateway.get(
                    waiting.headers["Location"], headers=bearer(rich_env, "dispatcher")
                )
                return bool(found.json()["status"] == "succeeded")

            await eventually(decided, what="the command")
