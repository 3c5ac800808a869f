"""Carrying SMS: by a dry run, an installation's own callable, an HTTP provider or a stub."""

import asyncio
import importlib
import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import httpx

from relay.delivery import DeliveryError, Receipt, SendSms, Sms
from runtime.environment import ConfigurationError
from runtime.settings import Settings

DRY_RUN = "dry-run"
STUB = "stub"
HTTP = "http"
SUCCESS = range(200, 300)
ANSWER_LIMIT_BYTES = 65_536


def sms_sender(settings: Settings, client: httpx.AsyncClient) -> SendSms:
    """Return what the settings choose. Raises `ConfigurationError` for an unusable adapter."""
    if settings.sms_dry_run:
        return dry_run
    if settings.sms_adapter is not None:
        return adapter(settings.sms_adapter)
    if settings.sms_provider_url is not None:
        token = settings.sms_provider_token
        secret = None if token is None else token.get_secret_value()
        return HttpProvider(client, settings.sms_provider_url, secret).send
    return stub


async def dry_run(sms: Sms) -> Receipt:
    """Accept a message without sending it anywhere."""
    return Receipt(
        provider=DRY_RUN,
        provider_message_id=_made_up(DRY_RUN, sms),
        status=DRY_RUN,
        note="nothing was sent",
        dry_run=True,
    )


async def stub(sms: Sms) -> Receipt:
    """Accept a message where no provider is configured."""
    return Receipt(
        provider=STUB,
        provider_message_id=_made_up(STUB, sms),
        status="accepted",
        note="no provider is configured",
    )


def adapter(path: str) -> SendSms:
    """Return the callable `package.module:callable` as a sender.

    It is called with to, body and message_key, may be a coroutine function, and returns a mapping
    or an object with provider_message_id, provider, status and note. Whatever it raises is a
    failed attempt.
    """
    module, _, name = path.partition(":")
    try:
        call: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"DISPATCH_SMS_ADAPTER cannot be loaded: {error}") from error

    async def send(sms: Sms) -> Receipt:
        fields = sms.model_dump()
        if inspect.iscoroutinefunction(call):
            return _receipt(path, await call(**fields))
        return _receipt(path, await _in_thread(call, fields))

    return send


async def _in_thread(call: Callable[..., Any], fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Call in a thread of its own: one that hangs for ever keeps neither others nor the exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], outcome: object) -> None:
        if not future.done():
            set_outcome(outcome)

    def work() -> None:
        try:
            outcome, set_outcome = call(**fields), future.set_result
        except Exception as error:  # noqa: BLE001  it is raised again by the one who waits
            outcome, set_outcome = error, future.set_exception
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, set_outcome, outcome)

    threading.Thread(target=work, daemon=True, name="sms-adapter").start()
    return await future


class HttpProvider:
    """A provider that takes a message as a JSON POST and knows idempotency keys."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str | None) -> None:
        self._client = client
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def send(self, sms: Sms) -> Receipt:
        """Hand one message over; the answer names it as `provider_message_id` or `id`."""
        headers = {**self._headers, "Idempotency-Key": sms.message_key}
        answer = await post(self._client, self._url, headers, json=sms.model_dump())
        try:
            fields = answer.json()
        except (ValueError, RecursionError):
            raise DeliveryError("the provider accepted with an answer that is no JSON") from None
        return _receipt(HTTP, fields)


async def post(
    client: httpx.AsyncClient,
    url: httpx.URL | str,
    headers: Mapping[str, str],
    **body: Any,  # noqa: ANN401  as httpx takes it
) -> httpx.Response:
    """Return the answer to a POST if it is a success, else raise `DeliveryError`."""
    try:
        async with client.stream("POST", url, headers=headers, **body) as answer:
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_LIMIT_BYTES:
                    raise DeliveryError(f"answered more than {ANSWER_LIMIT_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(f"no answer: {type(error).__name__}") from error
    if answer.status_code not in SUCCESS:
        raise DeliveryError(f"answered {answer.status_code}")
    return httpx.Response(answer.status_code, content=bytes(content))


def _receipt(provider: str, result: Any) -> Receipt:  # noqa: ANN401  whatever an adapter returns
    def field(name: str) -> Any:  # noqa: ANN401  whatever an adapter returns
        return result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)

    message_id = field("provider_message_id") or field("id")
    if not message_id:
        raise DeliveryError("the provider accepted without naming the message")
    note = field("note")
    return Receipt(
        provider=str(field("provider") or provider),
        provider_message_id=str(message_id),
        status=str(field("status") or "accepted"),
        note=None if note is None else str(note),
    )


def _made_up(provider: str, sms: Sms) -> str:
    return f"{provider}-{sha256(sms.message_key.encode()).hexdigest()[:32]}"
