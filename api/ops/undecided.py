"""What was promised and is not decided yet, and which commands were given up."""

from datetime import timedelta
from typing import Any, NamedTuple

from policy.values import format_datetime
from runtime.postgres.pool import Pool

WAITING = "SELECT * FROM open_promises($1)"
GIVEN_UP = "SELECT * FROM given_up_commands($1, $2)"
SHOWN_SPAN = timedelta(days=1)
SHOWN_COMMANDS = 20


class Undecided(NamedTuple):
    """The open promises, the age of the oldest, and what was given up in a day."""

    waiting: int
    oldest_seconds: float
    given_up: tuple[dict[str, Any], ...]

    @property
    def gauges(self) -> dict[str, float]:
        """What the metrics show of it."""
        return {
            "promises_waiting": self.waiting,
            "promise_oldest_seconds": round(self.oldest_seconds, 3),
            "commands_given_up": len(self.given_up),
        }


async def undecided(pool: Pool, tenant_id: str | None) -> Undecided:
    """Return how it stands in a tenant, None: in all; raises one of `DATABASE_FAULTS`."""
    async with pool.acquire() as conn:
        waiting = await conn.fetchrow(WAITING, tenant_id)
        given_up = await conn.fetch(GIVEN_UP, SHOWN_SPAN, tenant_id)
    return Undecided(**dict(waiting or {}), given_up=tuple(_named(dict(row)) for row in given_up))


def _named(row: dict[str, Any]) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("command_id", "reference")}
    return {**row, **ids, "given_up_at": format_datetime(row["given_up_at"])}
