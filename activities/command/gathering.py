"""Gathering the facts that a tool asks for, under the lock of what it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from policy.command.message import Command
from runtime.postgres.pool import Connection

Found: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Gathering:
    """One command's gathering: a kind adds a method per need, named after it.

    Each returns fields of the kind's facts.
    """

    conn: Connection
    command: Command
    payload: Any

    async def gather(self, needs: Iterable[str]) -> dict[str, Any]:
        """Return the fields of the facts for all `needs`."""
        found: dict[str, Any] = {}
        for need in sorted(needs):
            found.update(await getattr(self, need)())
        return found
