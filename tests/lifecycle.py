"""What the payloads of the canonical lifecycle refer to, on a running gateway."""

from datetime import UTC, datetime, timedelta

from policy.values import format_datetime
from tests.integration.servers.gateway import TestGateway

HOURS = {"window_start": 0, "window_end": 2, "later_start": 4, "later_end": 6}


def names_of(gateway: TestGateway) -> dict[str, str]:
    """Return the places, the technician and the windows, which are for tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    times = {name: format_datetime(tomorrow + timedelta(hours=h)) for name, h in HOURS.items()}
    place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
    return {**place, "tech_id": gateway.tech_id, **times}
