"""Carrying events to webhook subscribers, signed by the Standard Webhooks scheme."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from contracts.standard_webhooks import signed_headers
from relay.delivery import Receipt
from relay.rows import Subscriber
from relay.sms import post

PROVIDER = "webhook"


async def send_event(
    client: httpx.AsyncClient, subscriber: Subscriber, event_id: str, event: Mapping[str, Any]
) -> Receipt:
    """Post one event. A repeat carries the same `webhook-id` and a signature of its own time."""
    body = orjson.dumps(event)
    headers = signed_headers(subscriber.secrets, event_id, datetime.now(UTC), body)
    headers["content-type"] = "application/json"
    answer = await post(client, subscriber.url, headers, content=body)
    return Receipt(
        provider=PROVIDER, provider_message_id=event_id, status=f"http {answer.status_code}"
    )
