"""Which way a message goes: its channel chooses the carrier."""

from collections.abc import Awaitable, Callable

import httpx

from relay.delivery import DeliveryError, Receipt, SendSms, Sms
from relay.rows import Outbox, Row
from relay.sms import sms_sender
from relay.subscribers import send_event
from runtime.environment import Mode
from runtime.public_hosts import PublicHosts
from runtime.settings import Settings

Attempt = Callable[[], Awaitable[Receipt]]


class Carriers:
    """The ways out, over one HTTP client that the caller opens and closes."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient, outbox: Outbox) -> None:
        self._https_only = settings.mode is Mode.PRODUCTION
        self._hosts = PublicHosts(self._https_only, settings.webhook_hosts)
        self._client = client
        self._outbox = outbox
        self._send_sms: SendSms = sms_sender(settings, client)

    async def prepare(self, row: Row) -> Attempt:
        """Return the attempt at one message; raise `DeliveryError` if none can be made.

        Only this reads the database; the attempt itself is all outside.
        """
        match row.payload:
            case {"channel": "WEBHOOK", "event_id": str(event_id), "event": dict(event)}:
                subscriber = await self._outbox.subscriber(row)
                if subscriber is None:
                    raise DeliveryError("the subscription is gone or switched off")
                if self._https_only and not subscriber.url.startswith("https://"):
                    raise DeliveryError("in production a subscriber is reached by https")
                return lambda: send_event(self._client, self._hosts, subscriber, event_id, event)
            case {"channel": "SMS", "to": str(to), "body": str(body)}:
                sms = Sms(to=to, body=body, message_key=row.idempotency_key)
                return lambda: self._send_sms(sms)
        raise DeliveryError("the payload is no message of a known channel")
