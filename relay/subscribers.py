"""Carrying events to webhook subscribers, signed by the Standard Webhooks scheme."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from contracts.standard_webhooks import signed_headers
from relay.delivery import DeliveryError, Receipt
from relay.rows import Subscriber
from relay.sms import post
from runtime.public_hosts import PrivateHostError, PublicHosts, Target

PROVIDER = "webhook"


async def send_event(
    client: httpx.AsyncClient,
    hosts: PublicHosts,
    subscriber: Subscriber,
    event_id: str,
    event: Mapping[str, Any],
) -> Receipt:
    """Post one event. A repeat carries the same `webhook-id` and a signature of its own time."""
    body = orjson.dumps(event)
    headers = signed_headers(subscriber.secrets, event_id, datetime.now(UTC), body)
    headers["content-type"] = "application/json"
    target = await _target(hosts, subscriber.url)
    answer = await post(
        client,
        target.url,
        {**headers, **target.headers},
        content=body,
        extensions=dict(target.extensions),
    )
    return Receipt(
        provider=PROVIDER, provider_message_id=event_id, status=f"http {answer.status_code}"
    )


async def _target(hosts: PublicHosts, url: str) -> Target:
    try:
        return await hosts.target(httpx.URL(url))
    except PrivateHostError as error:
        raise DeliveryError(f"not sent: {error}") from error
    except (OSError, UnicodeError, httpx.InvalidURL) as error:
        raise DeliveryError(f"no answer: {type(error).__name__}") from error
