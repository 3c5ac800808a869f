"""Who carries an SMS, and what its answer must say."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest

from relay.delivery import DeliveryError, Receipt, Sms
from relay.sms import HttpProvider, adapter, dry_run, sms_sender, stub
from runtime.environment import ConfigurationError
from runtime.settings import load_settings

SMS = Sms(to="15550100", body="We come", message_key="ticket:1")
HERE = "tests.unit.delivery.test_sms_carriers"


def plain(to: str, body: str, message_key: str) -> dict[str, str]:
    return {"provider_message_id": f"{to}/{body}/{message_key}", "provider": "ours"}


async def waiting(*, to: str, body: str, message_key: str) -> SimpleNamespace:
    del body, message_key
    return SimpleNamespace(provider_message_id=to, status="queued", note=7)


def forgetful(**_: str) -> dict[str, str]:
    return {"status": "sent"}


def broken(**_: str) -> dict[str, str]:
    raise OSError("no route")


def hanging(**_: str) -> dict[str, str]:
    time.sleep(3600)
    return {}


async def send(**environ: str) -> Receipt:
    settings, _ = load_settings(environ)
    async with httpx.AsyncClient() as client:
        return await sms_sender(settings, client)(SMS)


async def test_a_dry_run_is_the_default_even_with_an_adapter() -> None:
    receipt = await send(DISPATCH_SMS_ADAPTER=f"{HERE}:broken")
    assert (receipt.provider, receipt.dry_run) == ("dry-run", True)
    assert receipt == await dry_run(SMS), "the id follows from the key"


async def test_the_callable_of_the_installation_is_called_by_keyword() -> None:
    receipt = await send(DISPATCH_SMS_DRY_RUN="false", DISPATCH_SMS_ADAPTER=f"{HERE}:plain")
    assert receipt == Receipt(
        provider="ours", provider_message_id="15550100/We come/ticket:1", status="accepted"
    )


async def test_the_callable_may_be_a_coroutine_function_and_return_an_object() -> None:
    path = f"{HERE}:waiting"
    receipt = await adapter(path)(SMS)
    assert receipt == Receipt(
        provider=path, provider_message_id="15550100", status="queued", note="7"
    )


async def test_without_callable_and_provider_a_stub_accepts() -> None:
    receipt = await send(DISPATCH_SMS_DRY_RUN="false")
    assert receipt == await stub(SMS)
    assert (receipt.provider, receipt.dry_run) == ("stub", False)


async def test_an_adapter_that_names_no_message_has_not_accepted_it() -> None:
    with pytest.raises(DeliveryError, match="without naming"):
        await adapter(f"{HERE}:forgetful")(SMS)


async def test_what_an_adapter_raises_comes_out() -> None:
    with pytest.raises(OSError, match="no route"):
        await adapter(f"{HERE}:broken")(SMS)


async def test_an_adapter_that_hangs_can_be_given_up() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(adapter(f"{HERE}:hanging")(SMS), 0.05)


@pytest.mark.parametrize("path", ["no.such.module:send", f"{HERE}:nothing"])
def test_an_adapter_that_cannot_be_loaded_stops_the_start(path: str) -> None:
    with pytest.raises(ConfigurationError, match="DISPATCH_SMS_ADAPTER"):
        adapter(path)


def provider(handler: Any) -> HttpProvider:  # noqa: ANN401  as httpx takes it
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return HttpProvider(client, "https://sms.example/messages", "tok")


async def test_the_http_provider_gets_the_message_its_key_and_our_token() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"id": "m1", "status": "queued"})

    receipt = await provider(handler).send(SMS)

    assert receipt == Receipt(provider="http", provider_message_id="m1", status="queued")
    (request,) = seen
    assert request.headers["idempotency-key"] == "ticket:1"
    assert request.headers["authorization"] == "Bearer tok"
    assert orjson.loads(request.content) == SMS.model_dump()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(500, text="secret detail"), "answered 500"),
        (httpx.Response(302, headers={"location": "http://elsewhere"}), "answered 302"),
        (httpx.Response(200, text="ok"), "no JSON"),
        (httpx.Response(200, json=["m1"]), "without naming"),
        (httpx.Response(200, content=b"x" * 70_000), "more than"),
    ],
)
async def test_every_other_answer_is_a_failure_that_keeps_its_content_to_itself(
    answer: httpx.Response, reason: str
) -> None:
    with pytest.raises(DeliveryError, match=reason) as caught:
        await provider(lambda _: answer).send(SMS)
    assert "secret" not in str(caught.value)


async def test_a_provider_out_of_reach_is_a_failure() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(DeliveryError, match="ConnectError"):
        await provider(handler).send(SMS)
